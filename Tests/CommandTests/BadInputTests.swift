import Bytes
import Foundation
import TestSupport
import Testing

/// Inputs that are broken in one way each: one line that names the file and the law, the exit code of the design, nothing
/// under the final name.
@Suite struct BadInputTests {
  /// A copy of tiny-llama in a folder of its own, `change` applied.
  private func model(_ change: (String) throws -> Void) throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    for name in [
      "config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json", "model.safetensors",
    ] {
      try FileManager.default.copyItem(atPath: Fixtures.path("tiny-llama/\(name)"), toPath: folder.path(name))
    }
    try change(folder.path)
    return folder
  }

  private func refuse(_ folder: TemporaryFolder, code: Int32, naming words: String...) throws {
    let out = try TemporaryFolder()
    let run = try CommandRun.quern("convert", folder.path, "--type", "Q4_K_M", "-o", out.path("x.gguf"), "-q")
    #expect(run.code == code, "\(run.errors)")
    for word in words { #expect(run.errors.contains(word), "\(word) in: \(run.errors)") }
    #expect(run.errors.split(separator: "\n").count == 1, "\(run.errors)")
    #expect(try FileManager.default.contentsOfDirectory(atPath: out.path).isEmpty)
  }

  private func edit(_ path: String, _ name: String, _ old: String, _ new: String) throws {
    let url = URL(fileURLWithPath: path + "/" + name)
    let text = try String(contentsOf: url, encoding: .utf8)
    try #require(text.contains(old))
    try text.replacingOccurrences(of: old, with: new).write(to: url, atomically: false, encoding: .utf8)
  }

  /// Overwrites bytes of the weights at `offset` from the end of the header.
  private func patch(_ path: String, offset: Int, _ bytes: [UInt8]) throws {
    let handle = try #require(FileHandle(forUpdatingAtPath: path + "/model.safetensors"))
    let head = try handle.read(upToCount: 8)
    let length = try #require(head).reversed().reduce(0) { $0 << 8 | Int($1) }
    try handle.seek(toOffset: UInt64(8 + length + offset))
    try handle.write(contentsOf: bytes)
    try handle.close()
  }

  @Test func missingInput() throws {
    let run = try CommandRun.quern("convert", "/nowhere/model", "--type", "Q8_0", "-o", "/nowhere/out.gguf")
    #expect(run.code == 69)
    #expect(run.errors.contains("/nowhere/model"))
  }

  @Test func missingWeights() throws {
    let folder = try model { try FileManager.default.removeItem(atPath: $0 + "/model.safetensors") }
    try refuse(folder, code: 69, naming: "MISSING")
  }

  @Test func missingConfig() throws {
    let folder = try model { try FileManager.default.removeItem(atPath: $0 + "/config.json") }
    try refuse(folder, code: 69, naming: "config.json", "MISSING")
  }

  @Test func truncatedWeights() throws {
    let folder = try model { path in
      let handle = try #require(FileHandle(forUpdatingAtPath: path + "/model.safetensors"))
      try handle.truncate(atOffset: 9_000_000)
    }
    try refuse(folder, code: 65, naming: "model.safetensors")
  }

  @Test func headerCutShort() throws {
    let folder = try model { path in
      let handle = try #require(FileHandle(forUpdatingAtPath: path + "/model.safetensors"))
      try handle.truncate(atOffset: 100)
    }
    try refuse(folder, code: 65, naming: "model.safetensors", "TRUNC")
  }

  @Test func notANumberInAWeight() throws {
    let folder = try model { try patch($0, offset: 4096, [0xC0, 0x7F]) }
    try refuse(folder, code: 65, naming: "NONFINITE", "row", "column")
  }

  @Test func aWeightTooLargeForTheScaleOfItsBlock() throws {
    let folder = try model { try patch($0, offset: 4096, [0x15, 0x50]) }  // 1e10 in BF16
    try refuse(folder, code: 65, naming: "NONFINITE", "scale", "output.weight")
  }

  @Test func unknownArchitecture() throws {
    let folder = try model { try edit($0, "config.json", "LlamaForCausalLM", "MambaForCausalLM") }
    try refuse(folder, code: 65, naming: "MambaForCausalLM", "UNSUPPORTED")
  }

  @Test func shapeThatDoesNotFitTheConfig() throws {
    let folder = try model { try edit($0, "config.json", "\"intermediate_size\": 768", "\"intermediate_size\": 1024") }
    try refuse(folder, code: 65, naming: "SHAPE", "768")
  }

  @Test func fewerLayersInTheConfigThanInTheFile() throws {
    let folder = try model { try edit($0, "config.json", "\"num_hidden_layers\": 6", "\"num_hidden_layers\": 5") }
    try refuse(folder, code: 65, naming: "layers.5")
  }

  @Test func moreLayersInTheConfigThanInTheFile() throws {
    let folder = try model { try edit($0, "config.json", "\"num_hidden_layers\": 6", "\"num_hidden_layers\": 7") }
    try refuse(folder, code: 69, naming: "6", "MISSING")
  }

  @Test func unwritableOutput() throws {
    let run = try CommandRun.quern("convert", Fixtures.path("tiny-llama"), "--type", "Q8_0", "-o", "/proc/x.gguf", "-q")
    #expect(run.code == 74)
    #expect(run.errors.contains("/proc/"))
  }

  @Test func truncatedGGUF() throws {
    let folder = try TemporaryFolder()
    let out = folder.path("a.gguf")
    _ = try CommandRun.quern("convert", Fixtures.path("tiny-llama"), "--type", "Q8_0", "-o", out, "-q")
    let handle = try #require(FileHandle(forUpdatingAtPath: out))
    try handle.truncate(atOffset: 3_000_000)
    for command in [["inspect", out], ["perplexity", out, "--text", Fixtures.path("text/python-docs-evaluate.txt")]] {
      let run = try CommandRun(CommandRun.quern, command)
      #expect(run.code == 65, "\(run.errors)")
      #expect(run.errors.contains("a.gguf"))
    }
  }

  @Test func textThatIsNoText() throws {
    let folder = try TemporaryFolder()
    let text = try folder.write("t.txt", [0xFF, 0xFE])
    let run = try CommandRun.quern("perplexity", Fixtures.path("tiny-llama"), "--text", text)
    #expect(run.code == 65)
    #expect(run.errors.contains("UTF8"))
  }
}

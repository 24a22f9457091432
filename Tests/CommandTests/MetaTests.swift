import Foundation
import TestSupport
import Testing

/// Meta's form as a user meets it.
@Suite struct MetaTests {
  private let tiny = Fixtures.path("tiny-llama")
  private let text = Fixtures.path("text/python-docs-evaluate.txt")

  @Test func perplexityIsThatOfHuggingFacesForm() throws {
    var answers: [String] = []
    for path in [tiny, tiny + "/original"] {
      let run = try CommandRun.quern("perplexity", path, "--text", text, "--chunks", "2", "--ctx", "128")
      #expect(run.code == 0, "\(run.errors)")
      answers.append(String(run.output.prefix { $0 != "," }))
    }
    #expect(answers[0] == answers[1] && answers[0].hasPrefix("perplexity"))
  }

  @Test func layoutChoosesTheForm() throws {
    let (hf, meta) = (
      try CommandRun.quern("inspect", tiny), try CommandRun.quern("inspect", tiny, "--layout", "meta")
    )
    #expect(hf.code == 0 && hf.output.hasPrefix("safetensors, LlamaForCausalLM: 57 tensors"), "\(hf.errors)")
    #expect(meta.code == 0 && meta.output.hasPrefix("meta, llama: 57 tensors"), "\(meta.errors)")
    #expect(meta.output.contains("ffn_dim_multiplier") && meta.output.contains("context length; 8192"))
    #expect(try CommandRun.quern("inspect", tiny, "--layout", "mine").code == 2)
  }

  @Test func whatWasConcludedIsPrinted() throws {
    let run = try CommandRun.quern("convert", tiny + "/original", "-o", "unused.gguf", "--dry-run")
    #expect(run.code == 0)
    #expect(run.errors.contains("8192 is that of Llama 3"), "\(run.errors)")
  }

  @Test(arguments: ["0.5", "1e9", "nan", "x"]) func aRopeFactorThatIsNoneIsWrongUsage(_ factor: String) throws {
    let run = try CommandRun.quern("convert", tiny + "/original", "-o", "x.gguf", "--rope-factor", factor)
    #expect(run.code == 2, "\(run.errors)")
  }

  /// Nothing is written, and the exit code says whose fault it is.
  @Test func aDamagedDownloadIsToldBeforeAnythingIsWritten() throws {
    let folder = try TemporaryFolder()
    let path = try MetaModel.small.write(to: folder, shards: 2)
    let out = folder.path("out.gguf")
    let unlisted = try CommandRun.quern("convert", path, "-o", out, "--verify-input")
    #expect(unlisted.code == 69 && unlisted.errors.contains("checklist.chk"), "\(unlisted.errors)")
    let zeros = String(repeating: "0", count: 32)
    try folder.write("model/checklist.chk", "\(zeros)  consolidated.00.pth\n\(zeros)  consolidated.01.pth\n")
    let changed = try CommandRun.quern("convert", path, "-o", out, "--verify-input")
    #expect(changed.code == 65 && changed.errors.contains("consolidated.00.pth"), "\(changed.errors)")
    try folder.remove("model/consolidated.01.pth")
    let missing = try CommandRun.quern("convert", path, "-o", out)
    #expect(missing.code == 69 && missing.errors.contains("consolidated.01.pth is missing"), "\(missing.errors)")
    #expect(try folder.names() == ["model"])
  }
}

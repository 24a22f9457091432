import Foundation
import TestSupport
import Testing

/// `quern convert --type A,B,C`: several outputs from one reading.
@Suite struct SeveralTypesTests {
  private let tiny = Fixtures.path("tiny-llama")

  private func data(_ path: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path)) }

  private func object(_ text: String) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  private func run(_ arguments: [String]) throws -> CommandRun {
    let run = try CommandRun(CommandRun.quern, arguments)
    #expect(run.code == 0, "\(run.errors)")
    return run
  }

  @Test(arguments: [
    ["Q4_K_M", "Q5_K_M", "Q8_0"], ["F16", "BF16", "F32", "Q8_0"], ["Q2_K", "IQ4_XS", "Q6_K", "Q3_K_L", "TQ1_0"],
  ]) func everyOutputIsThatOfARunOfItsOwn(_ types: [String]) throws {
    let folder = try TemporaryFolder()
    try folder.makeFolder("out")
    for jobs in ["1", "3"] {
      let all = try run(
        ["convert", tiny, "-t", types.joined(separator: ","), "-o", folder.path("out/{name}-{type}.gguf"), "--json"]
          + ["-q", "-j", jobs, "--force"])
      let outputs = try #require(try object(all.output)["outputs"] as? [[String: Any]])
      #expect(outputs.map { $0["output"] as? String } == types.map { folder.path("out/tiny-llama-\($0).gguf") })
      #expect(try folder.names() == ["out"])
      for (type, output) in zip(types, outputs) {
        let alone = folder.path("alone.gguf")
        let report = try object(
          run(["convert", tiny, "-t", type, "-o", alone, "-q", "--force", "--json"]).output)
        #expect(try data(alone) == data(folder.path("out/tiny-llama-\(type).gguf")), "\(type), \(jobs)")
        for key in ["file_bytes", "bits_per_weight", "tensors", "sha256"] {
          #expect((report[key] as? NSObject) == (output[key] as? NSObject), "\(key)")
        }
        try FileManager.default.removeItem(atPath: alone)
      }
    }
  }

  /// With a matrix of importance and the thorough search, into sets, from a GGUF.
  @Test func flagsHoldForEveryOutput() throws {
    let folder = try TemporaryFolder()
    for name in ["one", "all"] { try folder.makeFolder(name) }
    let (full, matrix) = (folder.path("full.gguf"), folder.path("i.gguf"))
    _ = try run(["convert", tiny, "-t", "BF16", "-o", full, "-q"])
    _ = try run([
      "calibrate", tiny, "--text", Fixtures.path("text/python-docs-calibrate.txt"), "--chunks", "2", "-o", matrix, "-q",
    ])
    let flags = ["--imatrix", matrix, "--search", "thorough", "--split-max-tensors", "30", "-q"]
    let types = ["Q4_K_S", "IQ3_XXS", "BF16"]
    _ = try run(
      ["convert", full, "-t", types.joined(separator: ","), "-o", folder.path("all/{name}.{type}.gguf")] + flags)
    for type in types {
      _ = try run(["convert", full, "-t", type, "-o", folder.path("one/{name}.{type}.gguf")] + flags)
    }
    let made = try FileManager.default.contentsOfDirectory(atPath: folder.path("all")).sorted()
    #expect(made.count == 6 && made.contains("full.IQ3_XXS-00002-of-00002.gguf"))
    for name in made { #expect(try data(folder.path("all/\(name)")) == data(folder.path("one/\(name)")), "\(name)") }
  }

  @Test func dryRunShowsAll() throws {
    let folder = try TemporaryFolder()
    let arguments = ["convert", tiny, "-t", "Q4_K_M,Q8_0", "-o", folder.path("{type}.gguf"), "--dry-run"]
    let plans = try #require(try object(run(arguments + ["--json"]).output)["outputs"] as? [[String: Any]])
    #expect(plans.map { $0["output"] as? String } == [folder.path("Q4_K_M.gguf"), folder.path("Q8_0.gguf")])
    #expect(plans.allSatisfy { ($0["tensors"] as? [Any])?.count == 57 })
    let text = try run(arguments).output
    #expect(text.contains("/Q4_K_M.gguf would have") && text.contains("/Q8_0.gguf would have"))
    #expect(try folder.names().isEmpty)
  }

  @Test func verifiesAndSavesTheRecipeOfEach() throws {
    let folder = try TemporaryFolder()
    let all = try run([
      "convert", tiny, "-t", "Q4_K_M,Q8_0", "-o", folder.path("{type}.gguf"), "--save-recipe",
      folder.path("{type}.yaml"), "--verify", Fixtures.path("text/python-docs-evaluate.txt"), "-q",
    ])
    #expect(try folder.names() == ["Q4_K_M.gguf", "Q4_K_M.yaml", "Q8_0.gguf", "Q8_0.yaml"])
    #expect(try String(contentsOfFile: folder.path("Q8_0.yaml"), encoding: .utf8).contains("type: Q8_0\n"))
    #expect(all.output.contains("KL divergence") && all.output.contains("all in"))
  }

  /// A weight that F16 cannot hold: that output is not made, and says why; the others are.
  @Test func anOutputThatCannotBeMadeDoesNotStopTheOthers() throws {
    let folder = try TemporaryFolder()
    try folder.makeFolder("model")
    try folder.makeFolder("out")
    for name in [
      "config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json", "model.safetensors",
    ] {
      try FileManager.default.copyItem(atPath: tiny + "/" + name, toPath: folder.path("model/" + name))
    }
    let handle = try #require(FileHandle(forUpdatingAtPath: folder.path("model/model.safetensors")))
    let head = try #require(try handle.read(upToCount: 8))
    try handle.seek(toOffset: UInt64(8 + head.reversed().reduce(0) { $0 << 8 | Int($1) } + 4000))
    try handle.write(contentsOf: [0x80, 0x7E])  // 8.5e37 in BF16
    try handle.close()
    let both = try CommandRun.quern(
      "convert", folder.path("model"), "-t", "F16,BF16", "-o", folder.path("out/{type}.gguf"), "-q", "--json")
    #expect(both.code == 65 && both.errors.contains("F16") && both.errors.contains("NONFINITE"), "\(both.errors)")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path("out")) == ["BF16.gguf"])
    #expect(try (object(both.output)["outputs"] as? [Any])?.count == 1)
    _ = try run(["convert", folder.path("model"), "-t", "BF16", "-o", folder.path("alone.gguf"), "-q"])
    #expect(try data(folder.path("alone.gguf")) == data(folder.path("out/BF16.gguf")))
  }

  /// Two types into sets, killed in the middle of some file and then again.
  @Test func whatWasKilledGoesOnToTheSameBytes() throws {
    let folder = try TemporaryFolder()
    for name in ["whole", "killed"] { try folder.makeFolder(name) }
    func arguments(_ name: String) -> [String] {
      [
        "convert", tiny, "-t", "IQ3_S,Q3_K_M", "--split-max-tensors", "13", "--save-every",
        "0",
        "-j", "1", "-o", folder.path("\(name)/{type}.gguf"), "-q", "--json",
      ]
    }
    _ = try run(arguments("whole"))
    let state = folder.path("killed/IQ3_S.gguf.resume")
    func bytes() -> Int { (try? FileManager.default.attributesOfItem(atPath: state)[.size] as? Int) ?? 0 }
    var seen = 0
    for _ in 0..<2 {
      // Some records more than the last time.
      let killed = try CommandRun.stopped(
        CommandRun.quern, arguments("killed"),
        clear: {
          try FileManager.default.removeItem(atPath: folder.path("killed"))
          try folder.makeFolder("killed")
          seen = 0
        }, when: { bytes() > seen + 500 })
      #expect(killed.code == 128 + SIGKILL, "\(killed.errors)")
      seen = bytes()
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: folder.path("killed")).allSatisfy { !$0.hasSuffix(".gguf") }
      )
    }
    let resumed = try run(arguments("killed"))
    let outputs = try #require(try object(resumed.output)["outputs"] as? [[String: Any]])
    #expect(outputs.allSatisfy { ($0["resumed_bytes"] as? Int ?? 0) > 0 })
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path("whole")).sorted()
    #expect(
      try names.count == 10 && names == FileManager.default.contentsOfDirectory(atPath: folder.path("killed")).sorted())
    for name in names {
      #expect(try data(folder.path("whole/\(name)")) == data(folder.path("killed/\(name)")), "\(name)")
    }
  }

  @Test(arguments: [
    (["-t", "Q4_K_M,Q8_0", "-o", "x.gguf"], "{type}"), (["-t", "Q4_K_M,Q8_0", "-o", "{name}.gguf"], "{type}"),
    (["-t", "Q4_K_M,Q8_0", "-o", "{type}.gguf", "--save-recipe", "r.yaml"], "--save-recipe needs {type}"),
    (["-t", "Q4_K_M,q4_k_m", "-o", "{type}.gguf"], "Q4_K_M twice"), (["-t", "Q4_K_M", "-o", "{tpye}.gguf"], "{tpye}"),
    (["-t", "Q4_K_M,", "-o", "{type}.gguf"], ""), (["-t", "Q4_K_M,Q9", "-o", "{type}.gguf"], "Q9"),
    (["-t", "Q4_K_M,Q8_0", "-o", "{type}.gguf", "--method", "gptq", "--calibration", "t"], "one --type"),
    (["-t", "Q4_K_M,Q8_0", "-o", "{type}.gguf", "--allocate", "--calibration", "t"], "one --type"),
  ]) func whatCannotBeAskedOfSeveralIsWrongUsage(_ flags: [String], _ named: String) throws {
    let folder = try TemporaryFolder()
    let run = try CommandRun(CommandRun.quern, ["convert", tiny] + flags, folder: folder.path)
    #expect(run.code == 2, "\(run.errors)")
    #expect(named.isEmpty || run.errors.contains(named), "\(run.errors)")
    #expect(try folder.names().isEmpty)
  }
}

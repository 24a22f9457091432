import Foundation
import TestSupport
import Testing

/// `quern calibrate` as a user runs it.
@Suite struct CalibrateTests {
  private let tiny = Fixtures.path("tiny-llama")
  private let text = Fixtures.path("text/python-docs-calibrate.txt")

  private func calibrate(_ out: String, _ arguments: [String] = []) throws -> CommandRun {
    try CommandRun(
      CommandRun.quern, ["calibrate", tiny, "--text", text, "--chunks", "5", "--ctx", "64", "-o", out] + arguments)
  }

  @Test func writesAMatrixThatConvertTakes() throws {
    let folder = try TemporaryFolder()
    let out = folder.path("imatrix.gguf")
    let run = try calibrate(out, ["--json", "--output-tensor"])
    #expect(run.code == 0, "\(run.errors)")
    let report = try #require(JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
    #expect(report["output"] as? String == out)
    #expect(report["entries"] as? Int == 43)
    #expect(report["chunks"] as? Int == 5)
    #expect(report["tokens"] as? Int == 320)
    #expect(report["seconds"] is Double)
    let coverage = try #require(report["coverage"] as? [String: Any])
    #expect(Set(coverage.keys) == ["unseen_experts", "dead_channels", "exploding_channels"])
    let converted = try CommandRun.quern(
      "convert", tiny, "--type", "IQ2_S", "--imatrix", out, "-o", folder.path("iq2.gguf"), "-q")
    #expect(converted.code == 0, "\(converted.errors)")
    #expect(try Set(FileManager.default.contentsOfDirectory(atPath: folder.path)) == ["imatrix.gguf", "iq2.gguf"])
  }

  /// Neither threads nor the number of chunks whose states fit the memory change a byte.
  @Test(arguments: [["-j", "1"], ["-j", "2"], ["-j", "7"], ["--memory", "64M"]])
  func sameBytesAtAnyJobsAndMemory(_ arguments: [String]) throws {
    let folder = try TemporaryFolder()
    for (name, arguments) in [("a", []), ("b", arguments)] {
      let run = try calibrate(folder.path(name), arguments)
      #expect(run.code == 0, "\(run.errors)")
    }
    #expect(FileManager.default.contentsEqual(atPath: folder.path("a"), andPath: folder.path("b")))
  }

  @Test func theNameTellsTheForm() throws {
    let folder = try TemporaryFolder()
    for (name, arguments, isGGUF) in [
      ("a.gguf", [], true), ("a.dat", [], false), ("b.dat", ["--format", "gguf"], true),
      ("c", ["--format", "dat"], false),
    ] {
      let run = try calibrate(folder.path(name), arguments)
      #expect(run.code == 0, "\(run.errors)")
      let bytes = try Data(contentsOf: URL(fileURLWithPath: folder.path(name)))
      #expect(bytes.starts(with: Data("GGUF".utf8)) == isGGUF)
    }
  }

  @Test func mergingCountsBothFiles() throws {
    let folder = try TemporaryFolder()
    for form in ["gguf", "dat"] {
      let first = folder.path("first." + form)
      #expect(try calibrate(first).code == 0)
      let run = try calibrate(folder.path("both." + form), ["--merge", first, "--merge", first, "--json"])
      #expect(run.code == 0, "\(run.errors)")
      let report = try #require(JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
      #expect(report["chunks"] as? Int == 15)
    }
  }

  /// Sums of what stands in the files, whatever their form; the size of a chunk is that of the files.
  @Test func mergingWithoutATextMeasuresNothing() throws {
    let folder = try TemporaryFolder()
    let (first, second) = (folder.path("first.gguf"), folder.path("second.gguf"))
    #expect(try calibrate(first).code == 0)
    #expect(try calibrate(second, ["--merge", first]).code == 0)
    let both = folder.path("both.gguf")
    let run = try CommandRun.quern("calibrate", tiny, "--merge", first, "--merge", first, "-o", both, "--json")
    #expect(run.code == 0, "\(run.errors)")
    let report = try #require(JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
    #expect(report["chunks"] as? Int == 10 && report["tokens"] as? Int == 640 && report["entries"] as? Int == 42)
    // The data sets are named with their paths, which are the same; so is all else.
    #expect(FileManager.default.contentsEqual(atPath: both, andPath: second))
    for wrong in [["--chunks", "3"], ["--output-tensor"]] {
      #expect(try CommandRun(CommandRun.quern, ["calibrate", tiny, "--merge", first, "-o", "x"] + wrong).code == 2)
    }
  }

  /// Measured, added, and rounded with.
  @Test func hessiansAreWrittenAddedAndTaken() throws {
    let folder = try TemporaryFolder()
    let (one, two, both) = (folder.path("one"), folder.path("two"), folder.path("both"))
    #expect(try calibrate(folder.path("one.gguf"), ["--hessian", one]).code == 0)
    let second = try CommandRun.quern(
      "calibrate", tiny, "--text", Fixtures.path("text/python-docs-evaluate.txt"), "--chunks", "20", "--ctx", "64",
      "-o",
      folder.path("two.gguf"), "--hessian", two, "--json")
    let report = try #require(JSONSerialization.jsonObject(with: Data(second.output.utf8)) as? [String: Any])
    #expect(report["hessian"] as? String == two)
    #expect(report["hessian_texts"] as? [String] == ["python-docs-evaluate.txt: 20 chunks of 64 tokens"])
    let merged = try CommandRun.quern(
      "calibrate", tiny, "--merge-hessian", one, "--merge-hessian", two, "--hessian", both)
    #expect(merged.code == 0, "\(merged.errors)")
    #expect(merged.output.contains("both: Hessians of python-docs-calibrate.txt: 5 chunks of 64 tokens; python-docs-e"))
    let converted = try CommandRun.quern(
      "convert", tiny, "--type", "Q4_K_M", "--method", "gptq", "--hessian", both, "-o", folder.path("out.gguf"),
      "--json")
    #expect(converted.code == 0, "\(converted.errors)")
    #expect(converted.output.contains("1600 tokens of the calibration text reach it") == false)
    let allocated = try CommandRun.quern(
      "convert", tiny, "--type", "Q4_K_M", "--quality", "best", "--hessian", both, "--calibration", text,
      "--calibration-tokens", "2048", "-o", folder.path("best.gguf"), "-q")
    #expect(allocated.code == 0, "\(allocated.errors)")
    for (arguments, code, message) in [
      (["calibrate", tiny, "--merge-hessian", one, "--merge-hessian", one, "--hessian", both], 65, "[DUP]"),
      (["calibrate", tiny, "--merge-hessian", one, "--hessian", both], 74, "--force"),
      (["calibrate", tiny, "--merge-hessian", folder.path(""), "--hessian", both], 69, "blk.0.gguf"),
      (["convert", folder.path("out.gguf"), "--method", "gptq", "--hessian", both, "-o", "x"], 65, "other weights"),
    ] {
      let run = try CommandRun(CommandRun.quern, arguments)
      #expect(run.code == code && run.errors.contains(message), "\(run.errors)")
    }
  }

  @Test(arguments: [
    ["calibrate", "x", "--hessian", "d"], ["calibrate", "x", "--text", "t", "--hessian", "d"],
    ["calibrate", "x", "--merge-hessian", "a"],
    ["calibrate", "x", "--merge-hessian", "a", "--hessian", "d", "-o", "y"],
    ["calibrate", "x", "--text", "t", "-o", "y", "--merge-hessian", "a", "--hessian", "d"],
    ["calibrate", "x", "--merge", "a", "-o", "y", "--hessian", "d"],
    ["convert", "x", "-o", "y", "--hessian", "d"],
    ["convert", "x", "-o", "y", "--hessian", "d", "--method", "gptq", "--calibration", "t"],
    ["convert", "x", "-o", "y", "--hessian", "d", "--method", "gptq", "--awq", "--calibration", "t"],
    ["convert", "x", "-o", "y", "--hessian", "d", "--method", "gptq", "--gptq", "sequential=on"],
    ["convert", "x", "-o", "y", "--hessian", "d", "--method", "gptq", "--gptq", "asymmetry=0.5"],
    ["convert", "x", "-o", "y", "--hessian", "d", "--quality", "best"],
  ]) func hessiansThatMakeNoSenseAreWrongUsage(_ arguments: [String]) throws {
    let run = try CommandRun(CommandRun.quern, arguments)
    #expect(run.code == 2, "\(run.errors)")
  }

  @Test func refusesToOverwriteWithoutForce() throws {
    let folder = try TemporaryFolder()
    let out = try folder.write("imatrix.gguf", "precious")
    let refused = try calibrate(out)
    #expect(refused.code == 74)
    #expect(try String(contentsOfFile: out, encoding: .utf8) == "precious")
    #expect(try calibrate(out, ["--force"]).code == 0)
  }

  @Test func aTextOfLessThanTwoChunksIsRefused() throws {
    let folder = try TemporaryFolder()
    let short = try folder.write("short.txt", "too little")
    let run = try CommandRun.quern("calibrate", tiny, "--text", short, "-o", folder.path("i.gguf"))
    #expect(run.code == 65)
    #expect(run.errors.contains("short.txt") && run.errors.contains("[LIMIT]"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["short.txt"])
  }

  @Test(arguments: [["--ctx", "8"], ["--chunks", "0"], ["--format", "json"], ["--save-every", "-1"]])
  func wrongUsageIsExitCode2(_ arguments: [String]) throws {
    let run = try CommandRun(CommandRun.quern, ["calibrate", "x", "--text", "x", "-o", "y"] + arguments)
    #expect(run.code == 2)
  }
}

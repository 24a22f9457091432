import Bytes
import Foundation
import TestSupport
import Testing

/// `quern convert` as a user runs it.
@Suite struct ConvertTests {
  private let tiny = Fixtures.path("tiny-llama")

  private func object(_ text: String) throws -> [String: Any] {
    let value = try JSONSerialization.jsonObject(with: Data(text.utf8))
    return try #require(value as? [String: Any])
  }

  /// The types that were chosen are used again without being measured: the same bytes, with no calibration text.
  @Test func aSavedRecipeIsUsedAgain() throws {
    let folder = try TemporaryFolder()
    let (recipe, text) = (folder.path("r.yaml"), Fixtures.path("text/python-docs-calibrate.txt"))
    let chosen = try CommandRun.quern(
      "convert", Fixtures.path("tiny-llama"), "-t", "Q4_K_M", "--allocate", "--calibration", text,
      "--calibration-tokens", "2048", "--tensor-type", "blk\\.[0-2]\\.attn_v=Q2_K", "--output-tensor-type", "Q4_1",
      "--save-recipe", recipe, "-o", folder.path("a.gguf"))
    #expect(chosen.code == 0, "\(chosen.errors)")
    #expect(chosen.errors.contains("types chosen") && chosen.errors.contains(" MB)"))
    let again = try CommandRun.quern(
      "convert", Fixtures.path("tiny-llama"), "--recipe", recipe, "-o", folder.path("b.gguf"))
    #expect(again.code == 0, "\(again.errors)")
    #expect(FileManager.default.contentsEqual(atPath: folder.path("a.gguf"), andPath: folder.path("b.gguf")))
    let written = try String(contentsOfFile: recipe, encoding: .utf8)
    #expect(written.contains("type: Q4_K_M\ntensors:\n") && !written.contains(folder.path))
    // What was asked for by name is no choice of the allocation's.
    for asked in ["blk.0.attn_v.weight: Q2_K\n", "blk.2.attn_v.weight: Q2_K\n", "output.weight: Q4_1\n"] {
      #expect(written.contains(asked), "\(asked)")
    }
    for wrong in [["-t", "Q4_0"], ["--pure"], ["--allocate", "--calibration", text]] {
      let refused = try CommandRun(
        CommandRun.quern, ["convert", Fixtures.path("tiny-llama"), "--recipe", recipe, "-o", "x"] + wrong)
      #expect(refused.code == 2)
    }
    let kept = try CommandRun.quern(
      "convert", Fixtures.path("tiny-llama"), "-t", "Q4_0", "--dry-run", "--save-recipe", recipe, "-o", "x")
    #expect(kept.code == 74)
  }

  @Test func convertsAndSaysWhatItWrote() throws {
    let folder = try TemporaryFolder()
    let out = folder.path("tiny.gguf")
    let run = try CommandRun.quern("convert", tiny, "--type", "Q4_K_M", "-o", out, "--json")
    #expect(run.code == 0, "\(run.errors)")
    let report = try object(run.output)
    for key in [
      "output", "file_bytes", "bits_per_weight", "tensors", "seconds", "bytes_read", "bytes_written", "peak_rss_bytes",
      "sha256",
    ] {
      #expect(report[key] != nil, "\(key)")
    }
    let attributes = try FileManager.default.attributesOfItem(atPath: out)
    #expect(report["file_bytes"] as? Int == attributes[.size] as? Int)
    #expect(report["tensors"] as? Int == 57)
    let sum = try CommandRun("/usr/bin/env", ["sha256sum", out])
    #expect(sum.output.hasPrefix(try #require(report["sha256"] as? String)))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["tiny.gguf"])
  }

  @Test(arguments: ["Q4_K_M", "Q8_0", "F16"]) func sameBytesAtAnyJobs(_ type: String) throws {
    let folder = try TemporaryFolder()
    var files: [Data] = []
    for jobs in [1, 2, 3, 8] {
      let out = folder.path("\(jobs).gguf")
      let run = try CommandRun.quern("convert", tiny, "--type", type, "-o", out, "-q", "-j", "\(jobs)")
      #expect(run.code == 0, "\(run.errors)")
      files.append(try Data(contentsOf: URL(fileURLWithPath: out)))
    }
    #expect(files.allSatisfy { $0 == files[0] })
  }

  @Test func refusesToOverwriteWithoutForce() throws {
    let folder = try TemporaryFolder()
    let out = try folder.write("tiny.gguf", "precious")
    let refused = try CommandRun.quern("convert", tiny, "--type", "Q8_0", "-o", out)
    #expect(refused.code == 74)
    #expect(refused.errors.contains("--force"))
    #expect(try String(contentsOfFile: out, encoding: .utf8) == "precious")
    let forced = try CommandRun.quern("convert", tiny, "--type", "Q8_0", "-o", out, "--force", "-q")
    #expect(forced.code == 0, "\(forced.errors)")
  }

  @Test func tooLittleMemoryIsToldBeforeAnythingIsWritten() throws {
    let folder = try TemporaryFolder()
    let run = try CommandRun.quern(
      "convert", tiny, "--type", "F32", "-o", folder.path("x.gguf"), "-j", "512", "--memory", "64M")
    #expect(run.code == 65 && run.errors.contains("fewer --jobs"), "\(run.errors)")
    #expect(try folder.names().isEmpty)
  }

  @Test func dryRunWritesNothingAndTellsTheExactSize() throws {
    let folder = try TemporaryFolder()
    let out = folder.path("tiny.gguf")
    let dry = try CommandRun.quern("convert", tiny, "--type", "Q5_K_M", "-o", out, "--dry-run", "--json")
    #expect(dry.code == 0, "\(dry.errors)")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    let plan = try object(dry.output)
    _ = try CommandRun.quern("convert", tiny, "--type", "Q5_K_M", "-o", out, "-q")
    let attributes = try FileManager.default.attributesOfItem(atPath: out)
    #expect(plan["file_bytes"] as? Int == attributes[.size] as? Int)
  }

  @Test func requantizesAGGUFToTheSameBytes() throws {
    let folder = try TemporaryFolder()
    let (full, direct, twice) = (folder.path("bf16.gguf"), folder.path("a.gguf"), folder.path("b.gguf"))
    for arguments in [
      ["convert", tiny, "--type", "BF16", "-o", full], ["convert", full, "--type", "Q4_K_M", "-o", twice],
      ["convert", tiny, "--type", "Q4_K_M", "-o", direct],
    ] {
      let run = try CommandRun(CommandRun.quern, arguments + ["-q"])
      #expect(run.code == 0, "\(run.errors)")
    }
    #expect(try Data(contentsOf: URL(fileURLWithPath: direct)) == Data(contentsOf: URL(fileURLWithPath: twice)))
  }

  @Test(arguments: [
    (["--type", "Q9_Z"], "Q9_Z"), (["--type", "Q4_K_M", "--tensor-type", "nothing=Q8_0"], "nothing"),
    (["--type", "Q4_K_M", "--tensor-type", "(=Q8_0"], "("), (["--type", "IQ2_XXS"], "importance"),
    (["--type", "Q4_K_M", "--output-tensor-type", "Q7"], "Q7"),
  ]) func aRecipeThatCannotBeIsWrongUsage(_ flags: [String], _ named: String) throws {
    let folder = try TemporaryFolder()
    let run = try CommandRun(CommandRun.quern, ["convert", tiny, "-o", folder.path("x.gguf")] + flags)
    #expect(run.code == 2, "\(run.errors)")
    #expect(run.errors.contains(named), "\(run.errors)")
    #expect(run.errors.split(separator: "\n").count <= 3, "\(run.errors)")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
  }
}

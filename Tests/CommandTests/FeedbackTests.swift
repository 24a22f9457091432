import Foundation
import TestSupport
import Testing

/// `quern convert --method gptq` as a user runs it.
@Suite struct FeedbackTests {
  private func convert(_ path: String, tokens: Int, isa: String = "", jobs: Int = 2) throws -> CommandRun {
    try CommandRun(
      CommandRun.quern,
      [
        "convert", Fixtures.path("tiny-llama"), "--type", "Q4_K_M", "--method", "gptq", "--calibration",
        Fixtures.path("text/python-docs-calibrate.txt"), "--calibration-tokens", "\(tokens)", "-j", "\(jobs)", "--json",
        "-q", "--force", "-o", path,
      ], environment: ["QUERN_ISA": isa])
  }

  /// Of the sets that this machine has not, quern says so.
  @Test func sameBytesOnEveryInstructionSetAndAtAnyJobs() throws {
    let folder = try TemporaryFolder()
    var found: [Data] = []
    for (isa, jobs) in [("v4", 2), ("v3", 2), ("baseline", 2), ("", 1), ("", 3)] {
      let run = try convert(folder.path("out.gguf"), tokens: 768, isa: isa, jobs: jobs)
      if run.code == 64, run.errors.contains("which this machine has not") { continue }
      #expect(run.code == 0, "\(run.errors)")
      found.append(try Data(contentsOf: URL(fileURLWithPath: folder.path("out.gguf"))))
    }
    #expect(found.count >= 2)
    #expect(Set(found).count == 1)
  }

  @Test func fallbacksAreInTheReport() throws {
    let folder = try TemporaryFolder()
    for (tokens, count) in [(512, 6), (1024, 0)] {
      let run = try convert(folder.path("out.gguf"), tokens: tokens)
      let report = try #require(JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
      let told = try #require(report["without_feedback"] as? [[String: Any]])
      #expect(told.count == count)
      for entry in told { #expect((entry["reason"] as? String)?.contains("too few for 768 columns") == true) }
    }
  }

  /// A file that may not be replaced is told of before anything is measured, and nothing is left behind.
  @Test(arguments: ["out.gguf", "types.yaml"]) func takenNamesAreToldOfAtOnce(_ name: String) throws {
    let folder = try TemporaryFolder()
    try Data("mine".utf8).write(to: URL(fileURLWithPath: folder.path(name)))
    let run = try CommandRun(
      CommandRun.quern,
      [
        "convert", Fixtures.path("tiny-llama"), "--type", "Q4_K_M", "--quality", "best", "--calibration",
        Fixtures.path("text/python-docs-calibrate.txt"), "--save-recipe", folder.path("types.yaml"), "-o",
        folder.path("out.gguf"),
      ])
    #expect(run.code == 74)
    #expect(run.errors.contains("exists already") && !run.errors.contains("types chosen"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path("")) == [name])
  }
}

import Foundation
import TestSupport
import Testing

/// `quern check` as a user runs it; what it finds is tested in `CheckTests`.
@Suite struct CheckCommandTests {
  private let folder: TemporaryFolder
  private var path: String { folder.path("model.gguf") }

  init() throws {
    folder = try TemporaryFolder()
    let run = try CommandRun.quern(
      "convert", Fixtures.path("tiny-llama"), "-t", "Q4_0", "-o", folder.path("model.gguf"), "-q")
    #expect(run.code == 0)
  }

  private func damage() throws {
    var data = try Data(contentsOf: URL(fileURLWithPath: path))
    data[data.count - 40] ^= 1
    data.replaceSubrange(0..<4, with: Data("GGUX".utf8))
    try data.write(to: URL(fileURLWithPath: path))
  }

  private func object(_ text: String) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  @Test func aSoundFileIsExitCode0() throws {
    let run = try CommandRun.quern("check", path, "--for", "ollama", "--json")
    #expect(run.code == 0 && run.errors.isEmpty)
    let report = try object(run.output)
    #expect(report["passed"] as? Bool == true && (report["findings"] as? [Any])?.isEmpty == true)
    #expect(report["tensors"] as? Int == 57 && report["file"] as? String == path)
    let size = try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int
    #expect(report["bytes"] as? Int == size && (report["sha256"] as? String)?.count == 64)
  }

  @Test func findingsAreExitCode65AndTheResult() throws {
    try damage()
    let run = try CommandRun.quern("check", path, "--json")
    #expect(run.code == 65 && run.errors.contains("finding"))
    let findings = try #require(try object(run.output)["findings"] as? [[String: Any]])
    #expect(findings.count == 1 && findings[0]["rule"] as? String == "structure")
    for key in ["subject", "problem", "remedy"] { #expect(findings[0].keys.contains(key)) }
    #expect(try CommandRun.quern("check", path).output.hasPrefix("structure: "))
  }

  @Test func noFileIsExitCode69() throws {
    #expect(try CommandRun.quern("check", folder.path("none.gguf")).code == 69)
    #expect(try CommandRun.quern("check", path, "--sums", folder.path("none")).code == 69)
  }

  @Test(arguments: [["--for", "nobody"], ["--jobs", "0"]]) func wrongFlagsAreExitCode2(_ flags: [String]) throws {
    #expect(try CommandRun(CommandRun.quern, ["check", path] + flags).code == 2)
  }

  /// A list that `sha256sum` wrote.
  @Test func theListOfSha256sumIsTaken() throws {
    let sums = try CommandRun("/usr/bin/sha256sum", ["model.gguf"], folder: folder.path)
    try folder.write("SHA256SUMS", sums.output)
    #expect(try CommandRun.quern("check", path).output.contains("as SHA256SUMS says"))
  }
}

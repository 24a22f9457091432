import Foundation
import TestSupport
import Testing

/// The scripts beside this file, each of which compares something with a real peer and exits with 1 when it differs. They
/// run when QUERN_PEERS names the virtual environment that `make test-peers` fills.
enum Peers {
  static let folder = ProcessInfo.processInfo.environment["QUERN_PEERS"]
  static let scripts = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path

  /// What a script printed; an issue is recorded when it did not exit with 0.
  static func run(_ script: String, _ arguments: [String]) throws {
    let folder = try #require(folder)
    let run = try CommandRun(folder + "/bin/python", [scripts + "/" + script] + arguments)
    print("\(script):\n\(run.output)")
    #expect(run.code == 0, "\(script): \(run.errors.suffix(3000))")
  }

  static func has(_ name: String) -> Bool { FileManager.default.fileExists(atPath: (folder ?? "") + "/" + name) }

  /// Texts that may be measured on but not shipped lie beside a checkout.
  static let sharedText = URL(fileURLWithPath: Fixtures.folder).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("shared/text").path
}

@Suite(.enabled(if: Peers.folder != nil, "set by `make test-peers`"), .serialized)
struct PeerTests {
  private let venv = Peers.folder ?? ""
  private let tiny = Fixtures.path("tiny-llama")

  @Test func convertsToTheBytesOfLlamaQuantize() throws {
    try Peers.run("conversions.py", [venv, CommandRun.quern, tiny])
  }
}

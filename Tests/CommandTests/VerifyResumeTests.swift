import Foundation
import TestSupport
import Testing

/// Verifications that are killed or interrupted, and the same command again.
@Suite(.serialized) struct VerifyResumeTests {
  private let folder: TemporaryFolder
  private let tiny = Fixtures.path("tiny-llama")

  init() throws {
    folder = try TemporaryFolder()
    for type in ["Q4_K_M", "Q2_K"] {
      let made = try CommandRun(CommandRun.quern, ["convert", tiny, "-t", type, "-o", folder.path(type), "-q"])
      #expect(made.code == 0, "\(made.errors)")
    }
  }

  private func arguments(_ more: [String] = []) -> [String] {
    ["verify", folder.path("Q4_K_M"), folder.path("Q2_K"), "--against", tiny, "--text"]
      + [Fixtures.path("text/python-docs-evaluate.txt"), "--chunks", "24", "-j", "2", "--json", "-q"] + more
  }

  private var kept: String { folder.path("Q4_K_M.verify.resume") }

  private func stamp() -> Date? {
    (try? FileManager.default.attributesOfItem(atPath: kept)[.modificationDate]) as? Date
  }

  /// All figures, but not the seconds that they took.
  private func report(_ run: CommandRun) throws -> String {
    #expect(run.code == 0, "\(run.errors)")
    return run.output.split(separator: "\n").filter { !$0.contains("seconds") }.joined(separator: "\n")
  }

  /// Killed more than once.
  @Test func aKilledWalkGoesOnToTheSameReport() throws {
    let flags = ["--save-every", "0"]
    let whole = try report(CommandRun(CommandRun.quern, arguments(flags)))
    #expect(stamp() == nil)
    var last = stamp()
    for saves in [3, 2] {
      var seen = 0
      let stopped = try CommandRun.stopped(CommandRun.quern, arguments(flags), clear: {}) {
        if let now = stamp(), now != last { (last, seen) = (now, seen + 1) }
        return seen >= saves
      }
      #expect(stopped.code == 128 + SIGKILL && stamp() != nil)
    }
    #expect(try report(CommandRun(CommandRun.quern, arguments(flags))) == whole)
    #expect(stamp() == nil)
  }

  @Test func anInterruptedWalkSavesAndGoesOn() throws {
    let whole = try report(CommandRun(CommandRun.quern, arguments()))
    let began = Date()
    let stopped = try CommandRun.stopped(CommandRun.quern, arguments(["--save-every", "0"]), with: SIGTERM, clear: {}) {
      Date().timeIntervalSince(began) > 0.3
    }
    #expect(stopped.code == 75, "\(stopped.errors)")
    #expect(try report(CommandRun(CommandRun.quern, arguments())) == whole)
    #expect(stamp() == nil)
  }

  /// What another walk left is not gone on with, and not thrown away unasked.
  @Test func anotherWalkIsRefused() throws {
    let stopped = try CommandRun.stopped(CommandRun.quern, arguments(["--save-every", "0"]), clear: {}) {
      stamp() != nil
    }
    #expect(stopped.code == 128 + SIGKILL)
    let other = try CommandRun(CommandRun.quern, arguments(["--ctx", "256"]))
    #expect(other.code == 74 && other.errors.contains("differs in: text"), "\(other.errors)")
    #expect(try CommandRun(CommandRun.quern, arguments(["--ctx", "256", "--no-resume"])).code == 0)
  }
}

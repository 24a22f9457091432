import Foundation
import TestSupport
import Testing

/// Runs killed at random moments, and the same command again until it ends. `make test-kills` asks for many of them.
@Suite(.serialized) struct KillTests {
  struct Job: CustomTestStringConvertible, Sendable {
    var arguments: [String]
    /// Kills for every hundred of a plain conversion.
    var share = 100
    var testDescription: String { arguments.joined(separator: " ") }
  }

  private static let calibration = ["--calibration", Fixtures.path("text/python-docs-calibrate.txt")]

  static let jobs = [
    Job(arguments: ["convert", "--type", "IQ3_S", "--save-every", "0", "-j", "1"]),
    Job(
      arguments: ["calibrate", "--text", calibration[1], "--chunks", "24", "--save-every", "0"], share: 13),
    Job(
      arguments: ["convert", "--type", "Q4_K_M", "--method", "gptq", "--calibration-tokens", "2048"] + calibration,
      share: 13),
  ]

  /// What is converted.
  private static let model =
    ProcessInfo.processInfo.environment["QUERN_KILL_MODEL"] ?? Fixtures.path("tiny-llama")

  private static func number(_ name: String, or other: Int) -> Int {
    ProcessInfo.processInfo.environment[name].flatMap(Int.init) ?? other
  }

  private func contents(_ path: String) -> Data? { try? Data(contentsOf: URL(fileURLWithPath: path)) }

  /// What stands under the final name is the earlier output or the new one, whole, at any moment; the new one is the same as
  /// without a kill, and made without doing much twice.
  @Test(arguments: jobs) func whateverTheMomentNothingIsLost(_ job: Job) throws {
    let seed = KillTests.number("QUERN_SEED", or: 7)
    let count = max(2, KillTests.number("QUERN_KILLS", or: 4) * job.share / 100)
    var random = SeededGenerator(seed: UInt64(seed))
    let clock = ContinuousClock()
    func arguments(_ output: String) -> [String] {
      [job.arguments[0], KillTests.model] + job.arguments.dropFirst() + ["-o", output, "--force", "-q"]
    }

    let folder = try TemporaryFolder()
    let began = clock.now
    let first = try CommandRun(CommandRun.quern, arguments(folder.path("whole")))
    let whole = clock.now - began
    #expect(first.code == 0, "\(first.errors)")
    let reference = try #require(contents(folder.path("whole")))

    var (kills, rounds, worst) = (0, 0, Duration.zero)
    while kills < count {
      let folder = try TemporaryFolder()
      let out = folder.path("out")
      let earlier = rounds % 2 == 0 ? Data("an earlier output".utf8) : nil
      try earlier?.write(to: URL(fileURLWithPath: out))
      var (worked, ended) = (Duration.zero, false)
      // Once, twice or three times in a row.
      for _ in 0...rounds % 3 where !ended && kills < count {
        let moment = clock.now + whole * Double.random(in: 0...1, using: &random)
        let started = clock.now
        ended = try !CommandRun.kill(CommandRun.quern, arguments(out)) { clock.now >= moment }
        worked += clock.now - started
        if !ended { kills += 1 }
        let found = contents(out)
        #expect(found == earlier || found == reference, "seed \(seed), kill \(kills)")
      }
      let started = clock.now
      let last = try CommandRun(CommandRun.quern, arguments(out))
      worst = max(worst, worked + (clock.now - started) - whole)
      #expect(last.code == 0, "seed \(seed), kill \(kills): \(last.errors)")
      #expect(contents(out) == reference, "seed \(seed), kill \(kills)")
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["out"], "seed \(seed), kill \(kills)")
      rounds += 1
    }
    // `make test-kills` times what is done twice; the suite times nothing.
    if ProcessInfo.processInfo.environment["QUERN_KILLS"] != nil {
      #expect(worst < .seconds(60), "done twice: \(worst)")
      tell("\(job.arguments[0]): \(kills) kills in \(rounds) runs of \(whole), at most \(worst) more")
    }
  }
}

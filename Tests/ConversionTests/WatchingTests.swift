import Conversion
import Testing

/// Time left, judged on made-up runs whose clock is a number.
@Suite struct RemainingTimeTests {
  /// A run as it goes: how long each unit of work takes, by the share that is done before it.
  struct Profile: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var units = 1000
    /// Seconds of a unit, at a share of the work.
    var seconds: @Sendable (Double) -> Double
    /// Seconds before the first unit.
    var lead = 0.0
  }

  static let steady: [Profile] = [
    Profile(testDescription: "steady") { _ in 0.7 },
    Profile(testDescription: "forty steps", units: 40) { _ in 90 },
    Profile(testDescription: "a tenth up and down in turn") { Int($0 * 1000) % 2 == 0 ? 0.55 : 0.45 },
    Profile(testDescription: "all at once now and then") { Int($0 * 1000) % 10 == 0 ? 10 : 0.001 },
    Profile(testDescription: "growing slower by a tenth") { 1 + 0.1 * $0 },
    Profile(testDescription: "what was there is found again first", seconds: { _ in 0.5 }, lead: 300),
  ]

  /// - Returns: for each unit that is done, the share of the work, the seconds that are left by the estimate and in truth.
  private func run(_ profile: Profile) -> [(share: Double, told: Double?, left: Double)] {
    var remaining = RemainingTime()
    let shares = (0..<profile.units).map { Double($0) / Double(profile.units) }
    let total = shares.reduce(0) { $0 + profile.seconds($1) }
    var time = 1000.0
    remaining.add(.init(done: 0, total: Double(profile.units)), at: time)
    time += profile.lead
    remaining.add(.init(done: 0, total: Double(profile.units)), at: time)
    var spent = 0.0
    return shares.enumerated().map { unit, share in
      spent += profile.seconds(share)
      remaining.add(.init(done: Double(unit + 1), total: Double(profile.units)), at: time + spent)
      return (Double(unit + 1) / Double(profile.units), remaining.secondsLeft(at: time + spent), total - spent)
    }
  }

  @Test(arguments: steady) func isRightWithinAFifthAfterATenthOfTheWork(_ profile: Profile) throws {
    for (share, told, left) in run(profile) where share >= 0.1 && share < 0.9 {
      let told = try #require(told)
      #expect(abs(told - left) <= 0.2 * left, "at \(share): \(told) of \(left)")
    }
  }

  @Test func aNeighbourWhoComesHalfwayIsNoticedWithinAQuarter() throws {
    let found = run(Profile(testDescription: "") { $0 < 0.5 ? 1 : 2 })
    let late = try #require(found.first { $0.share >= 0.8 })
    #expect(abs(try #require(late.told) - late.left) <= 0.2 * late.left)
  }

  @Test func timeThatPassesWithoutAReportIsTakenOff() throws {
    var remaining = RemainingTime()
    remaining.add(.init(done: 0, total: 10), at: 0)
    remaining.add(.init(done: 1, total: 10), at: 60)
    #expect(remaining.secondsLeft(at: 60) == 540)
    #expect(remaining.secondsLeft(at: 90) == 510)
    #expect(remaining.secondsLeft(at: 9000) == 0)
  }

  @Test func nothingIsToldBeforeAnythingIsKnown() {
    var remaining = RemainingTime()
    #expect(remaining.secondsLeft(at: 0) == nil)
    remaining.add(.init(done: 0, total: 1e6), at: 0)
    #expect(remaining.secondsLeft(at: 10) == nil)
    remaining.add(.init(done: 1, total: 1e6), at: 0.1)
    #expect(remaining.secondsLeft(at: 0.1) == nil)
  }

  @Test func workThatIsDoneHasNoTimeLeft() {
    var remaining = RemainingTime()
    remaining.add(.init(done: 0, total: 2), at: 0)
    remaining.add(.init(done: 2, total: 2), at: 7)
    #expect(remaining.secondsLeft(at: 7) == 0)
    remaining.add(.init(done: 0, total: 0), at: 8)
    #expect(remaining.secondsLeft(at: 8) == 0)
  }
}

@Suite struct ProgressMeterTests {
  private func steps(_ activity: String, _ done: Int, of total: Int) -> Progress {
    Progress(activity, unit: .steps, done: done, total: total)
  }

  @Test func anActivityBeginsAnew() {
    var meter = ProgressMeter()
    _ = meter.read(steps("walking", 0, of: 10), at: 0)
    #expect(meter.read(steps("walking", 1, of: 10), at: 10).left == 90)
    let next = meter.read(steps("rounding", 0, of: 10), at: 20)
    #expect(next.isFirst && next.elapsed == 0 && next.left == nil)
    #expect(meter.read(steps("rounding", 1, of: 10), at: 21).left == 9)
  }

  @Test func theSameActivityOnceMoreBeginsAnewToo() {
    var meter = ProgressMeter()
    _ = meter.read(steps("walking", 0, of: 10), at: 0)
    _ = meter.read(steps("walking", 10, of: 10), at: 1000)
    #expect(meter.read(steps("walking", 0, of: 10), at: 1001).isFirst)
    #expect(meter.read(steps("walking", 1, of: 10), at: 1002).left == 9)
  }

  /// Bytes that an earlier run wrote are done, but no sign of how quickly this one goes.
  @Test func aResumedRunIsJudgedByWhatItDoesItself() {
    var meter = ProgressMeter()
    func report(_ gained: Int) -> Progress {
      Progress(
        "quantizing", unit: .bytes, done: 9_000_000_000 + gained, total: 10_000_000_000,
        work: .init(done: Double(gained), total: 1e9))
    }
    _ = meter.read(report(0), at: 0)
    let reading = meter.read(report(100_000_000), at: 10)
    #expect(reading.left == 90)
    #expect(reading.text == "quantizing 91 %, 9.10 of 10.00 GB, 0.01 GB/s, 1 min 30 s left")
  }

  /// A tenth of the bytes may be half of the work.
  @Test func whatTakesLongerCountsForMore() {
    var meter = ProgressMeter()
    func report(_ done: Int, _ work: Double) -> Progress {
      Progress("quantizing", unit: .bytes, done: done, total: 100, work: .init(done: work, total: 10))
    }
    _ = meter.read(report(0, 0), at: 0)
    #expect(meter.read(report(10, 5), at: 50).left == 50)
  }
}

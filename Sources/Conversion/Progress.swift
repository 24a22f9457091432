import Synchronization

/// How far a long piece of work is.
public struct Progress: Sendable {
  /// What is being done: `quantizing`, `layer`.
  public var activity: String
  /// What is counted in `done` and `total`.
  public enum Unit: Sendable { case bytes, steps }
  public var unit: Unit
  public var done: Int
  public var total: Int

  public init(_ activity: String, unit: Unit, done: Int, total: Int) {
    (self.activity, self.unit, self.done, self.total) = (activity, unit, done, total)
  }

  public var isDone: Bool { done >= total }
}

/// Called from the working threads, one call at a time for a piece of work.
public typealias ProgressHandler = @Sendable (Progress) -> Void

/// Turns progress reports into lines, no more often than `interval`, with rate and time left.
public final class ProgressLine: Sendable {
  private struct State {
    var activity = ""
    var began = ContinuousClock.now
    var shown = ContinuousClock.now
  }

  private let interval: Duration
  private let state = Mutex(State())

  public init(interval: Duration) { self.interval = interval }

  /// The line to show, or `nil` when the last one is recent.
  public func text(for progress: Progress) -> String? {
    state.withLock { state in
      let now = ContinuousClock.now
      if state.activity != progress.activity { state = State(activity: progress.activity, began: now, shown: now) }
      guard progress.isDone || now - state.shown >= interval else { return nil }
      state.shown = now
      let elapsed = seconds(now - state.began)
      var line = "\(progress.activity) \(progress.done * 100 / max(1, progress.total)) %"
      switch progress.unit {
      case .bytes:
        line += ", \(decimals(Double(progress.done) / 1e9, 2)) of \(decimals(Double(progress.total) / 1e9, 2)) GB"
        if elapsed > 0.5 { line += ", \(decimals(Double(progress.done) / 1e9 / elapsed, 2)) GB/s" }
      case .steps:
        line += ", \(progress.done) of \(progress.total)"
      }
      if elapsed > 1, progress.done > 0, !progress.isDone {
        let left = elapsed / Double(progress.done) * Double(progress.total - progress.done)
        line += ", \(duration(left)) left"
      }
      return line
    }
  }

  private func duration(_ seconds: Double) -> String {
    let whole = Int(seconds.rounded())
    return whole < 60
      ? "\(whole) s" : whole < 3600 ? "\(whole / 60) min \(whole % 60) s" : "\(whole / 3600) h \(whole / 60 % 60) min"
  }
}

/// `duration` in seconds.
package func seconds(_ duration: Duration) -> Double {
  let (whole, fraction) = duration.components
  return Double(whole) + Double(fraction) * 1e-18
}

/// `value` with exactly `places` digits after the point, without Foundation's formatter.
public func decimals(_ value: Double, _ places: Int) -> String {
  guard value.isFinite else { return "\(value)" }
  var scale = 1.0
  for _ in 0..<places { scale *= 10 }
  let scaled = (value.magnitude * scale).rounded()
  guard scaled < 1e15 else { return "\(value)" }
  let digits = String(Int(scaled))
  let sign = value < 0 && scaled > 0 ? "-" : ""
  guard places > 0 else { return sign + digits }
  let padded = String(repeating: "0", count: max(0, places + 1 - digits.count)) + digits
  return sign + padded.dropLast(places) + "." + padded.suffix(places)
}

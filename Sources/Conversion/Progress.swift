/// How far a long piece of work is.
public struct Progress: Sendable {
  /// What is being done: `quantizing`, `layer`.
  public var activity: String
  /// What is counted in `done` and `total`.
  public enum Unit: String, Sendable { case bytes, steps }
  public var unit: Unit
  /// What an earlier run did is done.
  public var done: Int
  public var total: Int
  /// The same for what this run has to do.
  public var work: Work

  /// What is to be done and what was, in units that take about the same time each.
  public struct Work: Hashable, Sendable {
    public var done: Double
    public var total: Double

    public init(done: Double, total: Double) { (self.done, self.total) = (done, total) }
  }

  /// - Parameter work: where some of what is counted takes longer than other, or was done by an earlier run.
  public init(_ activity: String, unit: Unit, done: Int, total: Int, work: Work? = nil) {
    (self.activity, self.unit, self.done, self.total) = (activity, unit, done, total)
    self.work = work ?? Work(done: Double(done), total: Double(total))
  }

  public var isDone: Bool { done >= total }
}

/// Called from the working threads, one call at a time for a piece of work: when it begins, so that it is known since when,
/// now and then, and when it is done.
public typealias ProgressHandler = @Sendable (Progress) -> Void

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

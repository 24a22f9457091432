/// What reports of progress mean when they are read against a clock. One activity at a time: each begins anew.
package struct ProgressMeter {
  private var first: (progress: Progress, time: Double)?
  private var last = 0.0
  private var remaining = RemainingTime()

  package init() {}

  /// A report with the times that belong to it.
  package struct Reading {
    package var progress: Progress
    /// The first of its activity.
    package var isFirst: Bool
    /// Seconds since the first report of the activity, and what was done in them.
    package var elapsed: Double
    package var gained: Int
    /// Seconds to its end; `nil` when that cannot be told yet.
    package var left: Double?

    /// From 0 to 1.
    package var ratio: Double { min(1, Double(progress.done) / Double(max(1, progress.total))) }
  }

  /// - Parameter time: seconds on a clock that never goes back.
  package mutating func read(_ progress: Progress, at time: Double) -> Reading {
    if first?.progress.activity != progress.activity || progress.work.done < last {
      self = ProgressMeter()
    }
    let isFirst = first == nil
    let first = first ?? (progress, time)
    (self.first, last) = (first, progress.work.done)
    remaining.add(progress.work, at: time)
    return Reading(
      progress: progress, isFirst: isFirst, elapsed: time - first.time, gained: progress.done - first.progress.done,
      left: progress.isDone ? 0 : remaining.secondsLeft(at: time))
  }
}

extension ProgressMeter.Reading {
  /// For a person, on one line.
  package var text: String {
    var line = "\(progress.activity) \(progress.done * 100 / max(1, progress.total)) %"
    switch progress.unit {
    case .bytes:
      line += ", \(decimals(Double(progress.done) / 1e9, 2)) of \(decimals(Double(progress.total) / 1e9, 2)) GB"
      if elapsed > 0.5 { line += ", \(decimals(Double(gained) / 1e9 / elapsed, 2)) GB/s" }
    case .steps:
      line += ", \(progress.done) of \(progress.total)"
    }
    if let left, !progress.isDone { line += ", \(Self.duration(left)) left" }
    return line
  }

  private static func duration(_ seconds: Double) -> String {
    let whole = Int(seconds.rounded())
    return whole < 60
      ? "\(whole) s" : whole < 3600 ? "\(whole / 60) min \(whole % 60) s" : "\(whole / 3600) h \(whole / 60 % 60) min"
  }
}

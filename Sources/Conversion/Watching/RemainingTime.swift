/// How long a piece of work will go on, judged by how quickly it went so far.
///
/// It knows nothing but reports of `Progress.Work`, whose units are meant to cost the same each: what makes the estimate right
/// is that parts which take longer count for more. Time before the first unit is done, in which a resumed run finds again what
/// was there, is not counted. The rate is a mean that forgets: what was done a quarter of the whole ago weighs 1/e of what
/// was done last, so that a neighbour who comes or goes is noticed and single pieces are not.
package struct RemainingTime {
  /// Of the whole work.
  private static let memory = 0.25

  /// Weighed sums of work and of the seconds it took.
  private var (gained, spent) = (0.0, 0.0)
  private var last: (work: Progress.Work, time: Double)?

  package init() {}

  /// - Parameter time: seconds on a clock that never goes back.
  package mutating func add(_ work: Progress.Work, at time: Double) {
    defer { last = (work, time) }
    guard let last, work.done > 0, work.done >= last.work.done else { return }
    let step = work.done - last.work.done
    let kept = work.total > 0 ? 1 / (1 + step / (work.total * RemainingTime.memory)) : 1
    gained = gained * kept + step
    spent = spent * kept + (time - last.time)
  }

  /// Seconds from `time` to the end of the work; `nil` when too little was done to tell, a hundredth or half a second.
  package func secondsLeft(at time: Double) -> Double? {
    guard let last, gained > 0 else { return nil }
    let left = last.work.total - last.work.done
    guard left > 0 else { return 0 }
    guard spent >= 0.5 || gained >= last.work.total / 100 else { return nil }
    return max(0, spent / gained * left - (time - last.time))
  }
}

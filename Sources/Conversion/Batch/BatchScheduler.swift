/// Which jobs may run now: as many at once as a budget of threads and memory lets, in their order, and those that are to be
/// tried again when their pause is over.
package struct BatchScheduler {
  /// What a job takes while it runs.
  package struct Demand: Hashable, Sendable {
    package var threads: Int
    package var memory: Int

    package init(threads: Int, memory: Int) { (self.threads, self.memory) = (threads, memory) }
  }

  private enum State: Hashable { case waiting(until: Double), running, ended }

  private let demands: [Demand]
  private let budget: Demand
  private let retries: Int
  private var states: [State]
  private var failures: [Int]
  package private(set) var used = Demand(threads: 0, memory: 0)

  /// - Parameters:
  ///   - demands: of each job, none above the budget.
  ///   - retries: how often a job is tried again.
  package init(_ demands: [Demand], budget: Demand, retries: Int) {
    precondition(
      demands.allSatisfy { $0.threads <= budget.threads && $0.memory <= budget.memory }, "a job above the budget")
    (self.demands, self.budget, self.retries) = (demands, budget, retries)
    states = demands.map { _ in .waiting(until: 0) }
    failures = demands.map { _ in 0 }
  }

  /// Jobs that begin at `time`, in seconds. One that does not fit is not overtaken for ever: what comes behind it may only use
  /// what it leaves once the running ones have ended.
  package mutating func start(at time: Double) -> [Int] {
    var started: [Int] = []
    for job in demands.indices {
      guard case .waiting(let until) = states[job], until <= time else { continue }
      guard used.threads + demands[job].threads <= budget.threads, used.memory + demands[job].memory <= budget.memory
      else { break }
      states[job] = .running
      used.threads += demands[job].threads
      used.memory += demands[job].memory
      started.append(job)
    }
    return started
  }

  /// The job ended.
  /// - Parameter mayRetry: whether trying again may help.
  /// - Returns: seconds of pause before it is tried again; `nil` when it is not.
  package mutating func ended(_ job: Int, mayRetry: Bool, at time: Double) -> Double? {
    precondition(states[job] == .running, "a job that does not run ends")
    used.threads -= demands[job].threads
    used.memory -= demands[job].memory
    guard mayRetry, failures[job] < retries else {
      states[job] = .ended
      return nil
    }
    let pause = min(60, Double(1 << min(failures[job], 6)))
    failures[job] += 1
    states[job] = .waiting(until: time + pause)
    return pause
  }

  package var isDone: Bool { states.allSatisfy { $0 == .ended } }

  /// Shares of `budget` for jobs that say nothing: as many at once as have the memory they need, with the threads divided
  /// between them.
  /// - Parameter wishes: of each job, what it says itself.
  package static func demands(
    _ wishes: [(threads: Int?, memory: Int?)], budget: Demand, memory: Int
  ) -> [Demand] {
    let memories = wishes.map { $0.memory ?? min(memory, budget.memory) }
    let widest = max(1, memories.max() ?? 1)
    let together = max(1, min(wishes.count, budget.threads, budget.memory / widest))
    return zip(wishes, memories).map {
      Demand(threads: $0.threads ?? max(1, budget.threads / together), memory: $1)
    }
  }
}

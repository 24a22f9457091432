import Bytes
import Dispatch
import Synchronization

/// Long computations on plain threads, kept off the pool that Swift's tasks share.
public enum Parallel {
  /// Runs `body` for every index below `count`, on at most `jobs` threads and no more than the machine has; returns when
  /// all are done. Indices are handed out in order.
  ///
  /// What `body` computes must depend on its index alone; then results are the same at any `jobs`.
  ///
  /// - Throws: the error of the lowest index that failed; later indices may not have run. `Interrupted`, between two, when
  ///   the process was asked to end.
  public static func forEach(_ count: Int, jobs: Int, _ body: @Sendable (Int) throws -> Void) throws {
    try forEachWithWorker(count, jobs: jobs) { index, _ in try body(index) }
  }

  /// The same, telling `body` which worker runs it: a number below `jobs` that no other call in progress has, for scratch
  /// space.
  public static func forEachWithWorker(
    _ count: Int, jobs: Int, _ body: @Sendable (_ index: Int, _ worker: Int) throws -> Void
  ) throws {
    guard count > 0 else { return }
    let workers = max(1, min(jobs, count))
    if workers == 1 {
      for index in 0..<count {
        try Interruption.check()
        try body(index, 0)
      }
      return
    }
    let state = State()
    DispatchQueue.concurrentPerform(iterations: workers) { worker in
      while true {
        // Asked before an index is taken: all that were taken before one that failed are run, so the lowest is found.
        guard !state.stopped.load(ordering: .relaxed) else { return }
        let index = state.next.wrappingAdd(1, ordering: .relaxed).oldValue
        guard index < count else { return }
        do {
          try Interruption.check()
          try body(index, worker)
        } catch {
          state.stopped.store(true, ordering: .relaxed)
          state.failure.withLock { failure in
            if index < failure?.index ?? .max { failure = (index, error) }
          }
        }
      }
    }
    if let error = state.failure.withLock({ $0?.error }) { throw error }
  }

  /// The values of `body` for every index below `count`, in order of the indices.
  public static func map<Value: Sendable>(
    _ count: Int, jobs: Int, _ body: @Sendable (Int) throws -> Value
  ) throws -> [Value] {
    try map(count, jobs: jobs) { index, _ in try body(index) }
  }

  /// The same, telling `body` which worker runs it.
  public static func map<Value: Sendable>(
    _ count: Int, jobs: Int, _ body: @Sendable (_ index: Int, _ worker: Int) throws -> Value
  ) throws -> [Value] {
    let values = Mutex<[Value?]>(Array(repeating: nil, count: count))
    try forEachWithWorker(count, jobs: jobs) { index, worker in
      let value = try body(index, worker)
      values.withLock { $0[index] = value }
    }
    return values.withLock { $0.compactMap(\.self) }
  }

  private final class State: Sendable {
    let next = Atomic(0)
    let stopped = Atomic(false)
    let failure = Mutex<(index: Int, error: any Error)?>(nil)
  }
}

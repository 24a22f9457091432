import Bytes
import Dispatch
import Synchronization

/// Work on numbered items from many threads, delivered in order.
///
/// Workers claim items in ascending order and produce their bytes independently; whoever finishes the item that is next
/// in line delivers it and everything ready behind it. No thread only waits for others' results, the bytes in flight are
/// bounded by `window`, and the order of completion never shows in what is delivered.
package struct OrderedPipeline: Sendable {
  /// Worker threads.
  let jobs: Int
  /// Items that may be produced and not yet delivered. Sixteen for each worker keep everyone busy while one item is slow.
  let window: Int

  package init(jobs: Int, window: Int? = nil) {
    self.jobs = max(1, jobs)
    self.window = max(window ?? 16 * self.jobs, self.jobs)
  }

  private struct State {
    var claimed = 0
    var delivered = 0
    var delivering = false
    var ready: [Int: [UInt8]] = [:]
    var failure: (item: Int, error: any Error)?
  }

  /// Calls `produce(i)` for `i` in `0..<count` on the workers and `deliver(i, bytes)` in ascending order, one at a time.
  ///
  /// - Parameters:
  ///   - makeScratch: called once a worker, for buffers that it reuses from item to item.
  /// - Throws: the error of the lowest item that failed, so that the message does not depend on timing; `Interrupted`,
  ///   between two items, when the process was asked to end.
  package func run<Scratch>(
    count: Int, makeScratch: @Sendable () -> Scratch,
    produce: @Sendable (Int, inout Scratch) throws -> [UInt8],
    deliver: @Sendable (Int, [UInt8]) throws -> Void
  ) throws {
    let state = Mutex(State())
    // Made with 0 and raised, because a semaphore that ends below the value it was made with traps, and a failed run keeps
    // the permits of items that were produced and never delivered.
    let permits = DispatchSemaphore(value: 0)
    for _ in 0..<window { permits.signal() }

    @Sendable func claim() -> Int? {
      permits.wait()
      let item: Int? = state.withLock { state in
        guard state.claimed < count, state.failure == nil else { return nil }
        defer { state.claimed += 1 }
        return state.claimed
      }
      if item == nil { permits.signal() }
      return item
    }

    @Sendable func fail(_ item: Int, _ error: any Error) {
      state.withLock { state in
        if state.failure.map({ item < $0.item }) ?? true { state.failure = (item, error) }
      }
    }

    /// Delivers what is ready, unless another worker is at it.
    @Sendable func drain() {
      while true {
        let next: (Int, [UInt8])? = state.withLock { state in
          guard !state.delivering, let bytes = state.ready.removeValue(forKey: state.delivered) else { return nil }
          if let failure = state.failure, failure.item <= state.delivered { return nil }
          state.delivering = true
          return (state.delivered, bytes)
        }
        guard let (item, bytes) = next else { return }
        do { try deliver(item, bytes) } catch { fail(item, error) }
        state.withLock { state in
          state.delivered += 1
          state.delivering = false
        }
        permits.signal()
      }
    }

    DispatchQueue.concurrentPerform(iterations: jobs) { _ in
      var scratch = makeScratch()
      while let item = claim() {
        do {
          try Interruption.check()
          let bytes = try produce(item, &scratch)
          state.withLock { $0.ready[item] = bytes }
          drain()
        } catch {
          fail(item, error)
          permits.signal()
        }
      }
    }
    if let failure = state.withLock({ $0.failure }) { throw failure.error }
  }
}

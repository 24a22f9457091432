import Synchronization
import Testing

import Conversion

@Suite struct OrderedPipelineTests {
  private struct Failure: Error, Equatable { var item: Int }

  @Test(arguments: [1, 2, 3, 8], [1, 2, 64]) func deliversInOrderWhateverFinishesFirst(jobs: Int, window: Int) throws {
    let delivered = Mutex<[Int]>([])
    try OrderedPipeline(jobs: jobs, window: window).run(
      count: 200, makeScratch: { 0 },
      produce: { item, scratch in
        scratch += 1
        // Uneven work, so that later items are ready first.
        return [UInt8](repeating: UInt8(item % 251), count: item % 7 == 0 ? 50_000 : 1)
      },
      deliver: { item, bytes in
        #expect(bytes[0] == UInt8(item % 251))
        delivered.withLock { $0.append(item) }
      })
    #expect(delivered.withLock { $0 } == Array(0..<200))
  }

  @Test(arguments: [1, 2, 8]) func throwsTheErrorOfTheLowestItem(jobs: Int) {
    #expect(throws: Failure(item: 20)) {
      try OrderedPipeline(jobs: jobs, window: 64).run(
        count: 100, makeScratch: { () },
        produce: { item, _ in
          if item == 20 || item == 21 || item == 90 { throw Failure(item: item) }
          return 0
        }, deliver: { item, _ in #expect(item < 20) })
    }
  }

  @Test(arguments: [1, 2, 8]) func aFailedDeliveryEndsTheRun(jobs: Int) {
    let delivered = Mutex(0)
    #expect(throws: Failure(item: 5)) {
      try OrderedPipeline(jobs: jobs, window: 16).run(
        count: 1000, makeScratch: { () }, produce: { _, _ in 0 },
        deliver: { item, _ in
          if item == 5 { throw Failure(item: 5) }
          delivered.withLock { $0 += 1 }
        })
    }
    #expect(delivered.withLock { $0 } == 5)
  }

  /// Items after the one that failed were produced and are never delivered; nothing waits for them.
  @Test func aFailureWithItemsReadyBehindItIsAnError() {
    for _ in 0..<20 {
      let slow = Mutex(0)
      #expect(throws: Failure(item: 0)) {
        try OrderedPipeline(jobs: 2, window: 64).run(
          count: 64, makeScratch: { () },
          produce: { item, _ in
            if item == 0 {
              // A machine with one processor makes no other item meanwhile.
              let deadline = ContinuousClock.now + .seconds(1)
              while slow.withLock({ $0 }) < 20 && ContinuousClock.now < deadline {}
              throw Failure(item: 0)
            }
            slow.withLock { $0 += 1 }
            return 0
          }, deliver: { _, _ in })
      }
    }
  }

  @Test func noItemsIsNoWork() throws {
    try OrderedPipeline(jobs: 2).run(
      count: 0, makeScratch: { () }, produce: { _, _ in 0 }, deliver: { _, _ in Issue.record("delivered nothing") })
  }
}

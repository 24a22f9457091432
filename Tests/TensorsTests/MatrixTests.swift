import Bytes
import Synchronization
import Tensors
import TestSupport
import Testing

@Suite struct MatrixTests {
  static func random(_ rows: Int, _ columns: Int, seed: UInt64) throws -> Matrix {
    var generator = SeededGenerator(seed: seed)
    return try Matrix(
      rows: rows, columns: columns,
      (0..<rows * columns).map { _ in Float.random(in: -1...1, using: &generator) })
  }

  /// Sums of k products in any order differ by at most about k ε Σ|a b|.
  static func check(_ fast: Matrix, _ plain: Matrix, inner: Int) {
    let bound = Float(inner + 2) * Float(inner) * Float.ulpOfOne + Float.ulpOfOne * 4
    for (a, b) in zip(fast.view.values, plain.view.values) { #expect((a - b).magnitude <= bound) }
  }

  @Test(arguments: [(1, 1, 1), (3, 5, 7), (17, 64, 33), (130, 65, 129), (512, 96, 256), (2, 300, 1)])
  func theFastProductIsItsDefinition(_ m: Int, _ n: Int, _ k: Int) throws {
    let (a, b) = try (Self.random(m, k, seed: 1), Self.random(n, k, seed: 2))
    let (fast, plain) = try (Self.random(m, n, seed: 3), Self.random(m, n, seed: 3))
    for (scale, keeping) in [(Float(1), Float(0)), (1, 1), (-0.5, 0), (2, 0.25)] {
      fast.view.assign(a.view, timesTransposed: b.view, scale: scale, keeping: keeping)
      plain.view.assignPlainly(a.view, timesTransposed: b.view, scale: scale, keeping: keeping)
      Self.check(fast, plain, inner: k + 1)
    }
    let transposed = try Matrix(
      rows: k, columns: n, (0..<k).flatMap { row in (0..<n).map { b.view.values[$0 * k + row] } })
    fast.view.assign(a.view, times: transposed.view)
    plain.view.assignPlainly(a.view, timesTransposed: b.view)
    Self.check(fast, plain, inner: k)
  }

  @Test func windowsTouchNothingAround() throws {
    let (a, b) = try (Self.random(20, 30, seed: 4), Self.random(20, 30, seed: 5))
    let (fast, plain) = try (Self.random(20, 30, seed: 6), Self.random(20, 30, seed: 6))
    let (x, w) = (a[3..<9, 5..<17], b[10..<20, 18..<30])
    fast[2..<8, 7..<17].assign(x, timesTransposed: w)
    plain[2..<20][0..<6, 7..<30][0..<6, 0..<10].assignPlainly(x, timesTransposed: w)
    Self.check(fast, plain, inner: 12)
    var changed = 0
    for (now, before) in try zip(fast.view.values, Self.random(20, 30, seed: 6).view.values) where now != before {
      changed += 1
    }
    #expect(changed == 60)
  }

  @Test func aMatrixWithoutMemoryIsRefused() {
    #expect(throws: InputError.self) { try Matrix(rows: 1 << 40, columns: 1 << 40) }
    #expect(throws: InputError.self) { try Matrix(rows: 1 << 30, columns: 1 << 30) }
  }
}

@Suite struct ParallelTests {
  @Test(arguments: [1, 2, 3, 64]) func everyIndexRunsOnceAndResultsKeepTheirOrder(_ jobs: Int) throws {
    for count in [0, 1, 2, 1000] {
      let sum = Mutex(0)
      try Parallel.forEach(count, jobs: jobs) { index in sum.withLock { $0 += index + 1 } }
      #expect(sum.withLock { $0 } == count * (count + 1) / 2)
      #expect(try Parallel.map(count, jobs: jobs) { $0 * 3 } == (0..<count).map { $0 * 3 })
    }
  }

  @Test(arguments: [1, 2, 5]) func theFirstErrorIsTheOneOfTheLowestIndex(_ jobs: Int) {
    struct Failure: Error, Equatable { let index: Int }
    for _ in 0..<50 {
      #expect(throws: Failure(index: 13)) {
        try Parallel.forEach(100, jobs: jobs) { index in
          if index >= 13 && index % 2 == 1 { throw Failure(index: index) }
        }
      }
    }
  }

  @Test func noTwoCallsShareAWorker() throws {
    let busy = Mutex(Set<Int>())
    try Parallel.forEachWithWorker(500, jobs: 4) { _, worker in
      #expect(busy.withLock { $0.insert(worker).inserted })
      #expect((0..<4).contains(worker))
      busy.withLock { _ = $0.remove(worker) }
    }
  }
}

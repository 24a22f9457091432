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

  @Test(arguments: [(1, 1), (3, 40), (33, 17), (64, 64)]) func aTransposeHasTheElementsTurnedRound(
    _ rows: Int, _ columns: Int
  ) throws {
    let a = try Self.random(rows + 2, columns + 3, seed: 1)
    let window = a[1..<rows + 1, 2..<columns + 2]
    let turned = try window.transposed()
    #expect((turned.rows, turned.columns) == (columns, rows))
    for row in 0..<rows { #expect(window[row..<row + 1].values == turned[0..<columns, row..<row + 1].values) }
  }

  @Test func aMatrixWithoutMemoryIsRefused() {
    #expect(throws: InputError.self) { try Matrix(rows: 1 << 40, columns: 1 << 40) }
    #expect(throws: InputError.self) { try Matrix(rows: 1 << 30, columns: 1 << 30) }
  }
}

@Suite(.serialized) struct MatrixFactorTests {
  /// A (size, size), its lower triangle only, definite.
  static func matrix(_ size: Int, shift: Double = 0.1) throws -> (factor: MatrixFactor, values: [Double]) {
    let x = try MatrixTests.random(size / 2 + 1, size, seed: UInt64(size)).view.values.map { Double($0) }
    let factor = try MatrixFactor(size: size)
    var values = [Double](repeating: 0, count: size * size)
    for row in 0..<size {
      for column in 0...row {
        var sum = row == column ? shift : 0
        for k in 0..<size / 2 + 1 { sum += x[k * size + row] * x[k * size + column] }
        values[row * size + column] = sum
        unsafe factor.pointer(row: row)[column] = sum
      }
    }
    return (factor, values)
  }

  static func bits(_ factor: MatrixFactor) -> [UInt64] {
    (0..<factor.size).flatMap { row in (0...row).map { unsafe factor.pointer(row: row)[$0].bitPattern } }
  }

  /// On every instruction set and at any number of threads.
  @Test(arguments: [1, 15, 16, 100, 129, 300]) func theFactorIsItsDefinition(_ size: Int) throws {
    let (plain, values) = try Self.matrix(size)
    #expect(plain.factorByDefinition())
    let expected = Self.bits(plain)
    for (isa, jobs) in Kernels.instructionSets.flatMap({ isa in [1, 3].map { (isa, $0) } }) {
      let factor = try Self.matrix(size).factor
      #expect(try Kernels.using(isa) { try factor.factor(jobs: jobs) } == true)
      #expect(Self.bits(factor) == expected, "on \(isa), \(jobs) jobs")
    }
    for row in 0..<size {
      for column in 0...row {
        var sum = 0.0
        for k in row..<size { unsafe sum += plain.pointer(row: k)[row] * plain.pointer(row: k)[column] }
        #expect((sum - values[row * size + column]).magnitude < 1e-10)
      }
    }
  }

  @Test(arguments: [0.0, .nan, .infinity, -1]) func whatIsNotDefiniteHasNoFactor(_ element: Double) throws {
    for place in [0, 50, 199] {
      let factor = try Self.matrix(200).factor
      unsafe factor.pointer(row: place)[place] = element
      #expect(try !factor.factor(jobs: 2))
    }
  }

  @Test func aFactorWithoutMemoryIsRefused() {
    #expect(throws: InputError.self) { try MatrixFactor(size: 1 << 24) }
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

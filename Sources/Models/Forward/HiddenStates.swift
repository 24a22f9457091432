import Bytes
public import Tensors

/// The residual stream of some chunks of text between two layers: one row of `hiddenSize` a token, chunk after chunk.
public struct HiddenStates: Sendable {
  public let matrix: Matrix
  /// The rows of each chunk.
  public let chunks: [Range<Int>]

  init(chunkLengths: [Int], columns: Int) throws(InputError) {
    var chunks: [Range<Int>] = []
    var rows = 0
    for length in chunkLengths {
      chunks.append(rows..<rows + length)
      rows += length
    }
    self.chunks = chunks
    matrix = try Matrix(rows: rows, columns: columns)
  }

  private init(matrix: Matrix, chunks: [Range<Int>]) { (self.matrix, self.chunks) = (matrix, chunks) }

  /// Some of the chunks, in the same memory.
  public subscript(part: Range<Int>) -> HiddenStates { HiddenStates(matrix: matrix, chunks: Array(chunks[part])) }

  /// The same chunks in memory of their own.
  public func copy() throws(InputError) -> HiddenStates {
    let copy = try HiddenStates(chunkLengths: chunks.map(\.count), columns: matrix.columns)
    for (from, to) in zip(chunks, copy.chunks) where !from.isEmpty {
      unsafe copy.matrix[to].pointer.update(from: matrix[from].pointer, count: from.count * matrix.columns)
    }
    return copy
  }

  /// How far these states are from `reference`, which has the same shape.
  public func difference(from reference: HiddenStates, jobs: Int) throws -> StateDifference {
    precondition(chunks == reference.chunks && matrix.columns == reference.matrix.columns, "states of another shape")
    let parts = try Parallel.map(chunks.count, jobs: jobs) { chunk in
      let (ours, theirs) = (matrix[chunks[chunk]], reference.matrix[chunks[chunk]])
      var part = StateDifference()
      for row in 0..<ours.rows {
        unsafe part.add(ours.pointer(row: row), theirs.pointer(row: row), count: ours.columns)
      }
      return part
    }
    return parts.reduce(into: StateDifference()) { $0.merge($1) }
  }
}

/// The difference of two sets of vectors, as mergeable sums.
public struct StateDifference: Hashable, Sendable {
  private var squaredError = 0.0
  private var squaredReference = 0.0
  private var squared = 0.0

  public init() {}

  /// `sqrt(Σ (x - r)² / Σ r²)`; 0 for equal vectors.
  public var relativeRMSError: Double {
    squaredError == 0 ? 0 : (squaredError / squaredReference).squareRoot()
  }

  /// `Σ x r / sqrt(Σ x² Σ r²)` over all elements; 1 for equal vectors.
  public var cosine: Double {
    squaredError == 0 ? 1 : (squared + squaredReference - squaredError) / 2 / (squared * squaredReference).squareRoot()
  }

  mutating func add(_ x: UnsafeMutablePointer<Float>, _ reference: UnsafeMutablePointer<Float>, count: Int) {
    var sums = (SIMD4<Double>(), SIMD4<Double>(), SIMD4<Double>())
    func step(_ a: SIMD4<Double>, _ r: SIMD4<Double>) {
      let error = a - r
      sums.0 += error * error
      sums.1 += r * r
      sums.2 += a * a
    }
    let whole = count & ~3
    for index in stride(from: 0, to: whole, by: 4) {
      let a = unsafe UnsafeRawPointer(x + index).loadUnaligned(as: SIMD4<Float>.self)
      let r = unsafe UnsafeRawPointer(reference + index).loadUnaligned(as: SIMD4<Float>.self)
      step(SIMD4<Double>(a), SIMD4<Double>(r))
    }
    for index in whole..<count { unsafe step([Double(x[index]), 0, 0, 0], [Double(reference[index]), 0, 0, 0]) }
    squaredError += sums.0.sum()
    squaredReference += sums.1.sum()
    squared += sums.2.sum()
  }

  public mutating func merge(_ other: StateDifference) {
    squaredError += other.squaredError
    squaredReference += other.squaredReference
    squared += other.squared
  }
}

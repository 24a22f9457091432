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

  private init(_ matrix: Matrix, _ chunks: [Range<Int>]) { (self.matrix, self.chunks) = (matrix, chunks) }

  /// Some of the chunks, in the same memory.
  public func selecting(_ numbers: some Sequence<Int>) -> HiddenStates {
    HiddenStates(matrix, numbers.map { chunks[$0] })
  }

  /// The same chunks in memory of their own.
  public func copy() throws(InputError) -> HiddenStates {
    let copy = try HiddenStates(chunkLengths: chunks.map(\.count), columns: matrix.columns)
    copy.copy(from: self)
    return copy
  }

  /// Takes the values of `other`, whose chunks are as long.
  func copy(from other: HiddenStates) {
    precondition(
      chunks.count == other.chunks.count && matrix.columns == other.matrix.columns, "states of another shape")
    for (mine, theirs) in zip(chunks, other.chunks) {
      precondition(mine.count == theirs.count, "chunks of another length")
      let (to, from) = (matrix[mine], other.matrix[theirs])
      unsafe to.pointer.update(from: from.pointer, count: to.rows * to.columns)
    }
  }

  /// Chunks beyond those of `other` repeat its first ones; gives them its states.
  func copyProbes(from other: HiddenStates) {
    let probes = other.chunks.count..<chunks.count
    selecting(probes).copy(from: other.selecting(0..<probes.count))
  }

  /// How far these states are from `reference`'s, by chunk: `state` of its chunks, `added` of the probes that follow them.
  func differences(
    from reference: HiddenStates, jobs: Int
  ) throws -> (state: ArraySlice<StateDifference>, added: ArraySlice<StateDifference>) {
    precondition(matrix.columns == reference.matrix.columns, "states of another width")
    let count = reference.chunks.count
    let parts = try Parallel.map(chunks.count, jobs: jobs) { chunk in
      let (ours, theirs) = (
        matrix[chunks[chunk]], reference.matrix[reference.chunks[chunk < count ? chunk : chunk - count]]
      )
      precondition(ours.rows == theirs.rows, "chunks of another length")
      var part = StateDifference()
      for row in 0..<ours.rows {
        unsafe part.add(ours.pointer(row: row), theirs.pointer(row: row), count: ours.columns)
      }
      return part
    }
    return (parts[..<count], parts[count...])
  }
}

/// The difference of two sets of vectors, as mergeable sums.
public struct StateDifference: Hashable, Sendable, BitwiseCopyable {
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

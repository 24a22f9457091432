import CKernels
public import Bytes

/// A symmetric, positive definite matrix A (size, size) in F64 and then its factor S: A = Sᵀ S, S lower triangular.
///
/// Rows are found from the last to the first; every product is rounded before it is subtracted, in the order of the rows that
/// it comes from. So the bits are the same on every instruction set and at any number of threads.
@safe public final class MatrixFactor: @unchecked Sendable {
  public let size: Int
  /// Rows and columns with what fills up the last tile: of the unit matrix.
  private let padded: Int
  private let memory: AlignedMemory<Double>
  private var base: UnsafeMutablePointer<Double> { unsafe memory.base }

  private static let tile = Int(QUERN_FACTOR_TILE)
  /// Rows that are subtracted from those above together.
  private static let depth = 128

  /// All zero.
  /// - Throws: `LIMIT` when the memory cannot be had, `OVERFLOW`.
  public init(size: Int) throws(InputError) {
    self.size = size
    padded = try SizeArithmetic.aligned(size, to: MatrixFactor.tile)
    memory = try AlignedMemory(SizeArithmetic.product(padded, padded))
    for row in size..<padded { unsafe base[row * (padded + 1)] = 1 }
  }

  /// Row `row`, of which the first `row + 1` elements mean something.
  public func pointer(row: Int) -> UnsafeMutablePointer<Double> {
    precondition(row >= 0 && row < padded, "row out of range")
    return unsafe base + row * padded
  }

  /// Turns A into S. What stands above the diagonal is not read, and means nothing afterwards.
  /// - Returns: `false` when A is not positive definite; what the matrix holds then means nothing.
  public func factor(jobs: Int) throws -> Bool {
    let tile = MatrixFactor.tile
    var end = padded
    while end > 0 {
      let (first, last) = (max(0, end - MatrixFactor.depth), end - 1)
      let (depth, tiles) = (end - first, first / tile)
      guard factorCorner(first..<end) else { return false }
      guard tiles > 0 else { break }
      // Strips are in the order of computation, the last row first.
      var corner = [Double](repeating: 0, count: depth * depth)
      for i in 0..<depth {
        for k in i..<depth { unsafe corner[i * depth + k] = pointer(row: last - i)[last - k] }
      }
      let strip = try Strip(tiles * depth * tile)
      let done = corner
      try Parallel.forEach(tiles, jobs: jobs) { index in
        let place = unsafe strip.base + index * depth * tile
        for i in 0..<depth {
          unsafe (place + i * tile).update(from: self.pointer(row: last - i) + index * tile, count: tile)
        }
        unsafe done.withUnsafeBufferPointer { done in
          if let corner = done.baseAddress { unsafe quern_solve_strip(corner, Int64(depth), place) }
        }
        for i in 0..<depth {
          unsafe (self.pointer(row: last - i) + index * tile).update(from: place + i * tile, count: tile)
        }
      }
      // The longest rows first: what comes last is short.
      try Parallel.forEach(tiles, jobs: jobs) { index in
        unsafe quern_subtract_strip(
          strip.base, Int64(depth), Int64(tiles - 1 - index), self.base, Int64(self.padded))
      }
      end = first
    }
    return true
  }

  /// The definition of `factor`.
  package func factorByDefinition() -> Bool { factorCorner(0..<padded) }

  /// Factors the rows and columns `range`, from which all rows after them are subtracted.
  private func factorCorner(_ range: Range<Int>) -> Bool {
    for row in range.reversed() {
      let s = unsafe pointer(row: row)
      guard unsafe s[row] > 0 && s[row].isFinite else { return false }
      unsafe s[row] = s[row].squareRoot()
      let pivot = unsafe s[row]
      for column in range.lowerBound..<row { unsafe s[column] /= pivot }
      for other in range.lowerBound..<row {
        let (a, factor) = unsafe (pointer(row: other), s[other])
        for column in range.lowerBound...other { unsafe a[column] -= factor * s[column] }
      }
    }
    return true
  }
}

/// Numbers that threads write to, each its own part.
@safe private final class Strip: @unchecked Sendable {
  private let memory: AlignedMemory<Double>
  let base: UnsafeMutablePointer<Double>

  init(_ count: Int) throws(InputError) {
    memory = try AlignedMemory(count)
    unsafe base = memory.base
  }
}

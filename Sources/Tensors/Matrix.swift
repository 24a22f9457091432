public import Bytes

/// Row-major F32 numbers that several threads may fill at once, as long as no two touch the same rows.
///
/// `matrix[rows]` and `matrix[rows, columns]` are windows (`MatrixView`) that the arithmetic works on; they keep the
/// storage alive. Bounds are checked when a window is made.
@safe public final class Matrix: @unchecked Sendable {
  public let rows: Int
  public let columns: Int
  private let memory: AlignedMemory<Float>
  fileprivate let base: UnsafeMutablePointer<Float>

  /// All zero.
  /// - Throws: `LIMIT` when the memory cannot be had, `OVERFLOW`.
  public init(rows: Int, columns: Int) throws(InputError) {
    memory = try AlignedMemory(SizeArithmetic.product(rows, columns))
    (self.rows, self.columns) = (rows, columns)
    unsafe base = memory.base
  }

  /// A matrix of the given values, row after row.
  public convenience init(rows: Int, columns: Int, _ values: [Float]) throws(InputError) {
    precondition(values.count == rows * columns, "values of another shape")
    try self.init(rows: rows, columns: columns)
    unsafe values.withUnsafeBufferPointer {
      unsafe base.update(from: $0.baseAddress ?? UnsafePointer(base), count: $0.count)
    }
  }

  /// Everything.
  public var view: MatrixView { self[0..<rows] }

  public subscript(rows: Range<Int>) -> MatrixView { self[rows, 0..<columns] }

  public subscript(rows: Range<Int>, columns: Range<Int>) -> MatrixView {
    MatrixView(self, rows: rows, columns: columns)
  }
}

/// A window of a matrix.
public struct MatrixView: Sendable {
  private let matrix: Matrix
  private let firstRow: Int
  private let firstColumn: Int
  public let rows: Int
  public let columns: Int
  /// Elements from one row to the next.
  public let stride: Int

  fileprivate init(_ matrix: Matrix, rows: Range<Int>, columns: Range<Int>) {
    precondition(rows.lowerBound >= 0 && rows.upperBound <= matrix.rows, "rows out of range")
    precondition(columns.lowerBound >= 0 && columns.upperBound <= matrix.columns, "columns out of range")
    self.matrix = matrix
    (firstRow, firstColumn) = (rows.lowerBound, columns.lowerBound)
    (self.rows, self.columns, stride) = (rows.count, columns.count, matrix.columns)
  }

  /// The first element; valid as long as the matrix lives.
  public var pointer: UnsafeMutablePointer<Float> { unsafe matrix.base + (firstRow * stride + firstColumn) }

  /// Row `row`: `columns` elements.
  public func pointer(row: Int) -> UnsafeMutablePointer<Float> {
    precondition(row >= 0 && row < rows, "row out of range")
    return unsafe pointer + row * stride
  }

  /// A window of this window.
  public subscript(rows: Range<Int>, columns: Range<Int>) -> MatrixView {
    precondition(rows.upperBound <= self.rows && columns.upperBound <= self.columns, "window out of range")
    let (row, column) = (firstRow + rows.lowerBound, firstColumn + columns.lowerBound)
    return matrix[row..<row + rows.count, column..<column + columns.count]
  }

  public subscript(rows: Range<Int>) -> MatrixView { self[rows, 0..<columns] }

  /// The elements, row after row.
  public var values: [Float] {
    (0..<rows).flatMap { row in unsafe Array(UnsafeBufferPointer(start: pointer(row: row), count: columns)) }
  }
}

extension MatrixView {
  /// (columns, rows).
  /// - Throws: `LIMIT` when the memory cannot be had.
  public func transposed() throws(InputError) -> Matrix {
    let result = try Matrix(rows: columns, columns: rows)
    transpose(into: result.view)
    return result
  }

  /// Writes the transpose to `other` (columns, rows).
  public func transpose(into other: MatrixView) {
    precondition(other.rows == columns && other.columns == rows, "shapes do not fit")
    let (from, to, fromStride, toStride) = unsafe (pointer, other.pointer, stride, other.stride)
    // Squares that stay in the cache.
    let side = 16
    for top in Swift.stride(from: 0, to: rows, by: side) {
      for left in Swift.stride(from: 0, to: columns, by: side) {
        for column in left..<min(columns, left + side) {
          for row in top..<min(rows, top + side) {
            unsafe to[column &* toStride &+ row] = from[row &* fromStride &+ column]
          }
        }
      }
    }
  }

  /// Takes over the elements of `other`, which has the same shape.
  public func copy(_ other: MatrixView) {
    precondition(other.rows == rows && other.columns == columns, "shapes do not fit")
    for row in 0..<rows { unsafe pointer(row: row).update(from: other.pointer(row: row), count: columns) }
  }

  /// `self += other`.
  public func add(_ other: MatrixView) {
    precondition(other.rows == rows && other.columns == columns, "shapes do not fit")
    for row in 0..<rows { unsafe RowMath.add(other.pointer(row: row), to: pointer(row: row), count: columns) }
  }
}

#if canImport(Accelerate)
  import Accelerate
#else
  import COpenBLAS
#endif
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
  /// `self = scale · a bᵀ + keeping · self`: `a` (m, k), `b` (n, k), `self` (m, n).
  ///
  /// One thread; callers divide the work. The result of one call does not depend on what other threads do.
  /// - Parameter keeping: 0 overwrites, 1 adds.
  public func assign(_ a: MatrixView, timesTransposed b: MatrixView, scale: Float = 1, keeping: Float = 0) {
    precondition(a.columns == b.columns && rows == a.rows && columns == b.rows, "shapes do not fit")
    sgemm(a, b, transposed: true, inner: a.columns, scale, keeping)
  }

  /// `self = scale · a b + keeping · self`: `a` (m, k), `b` (k, n), `self` (m, n).
  public func assign(_ a: MatrixView, times b: MatrixView, scale: Float = 1, keeping: Float = 0) {
    precondition(a.columns == b.rows && rows == a.rows && columns == b.columns, "shapes do not fit")
    sgemm(a, b, transposed: false, inner: a.columns, scale, keeping)
  }

  /// `self = scale · aᵀ b + keeping · self`: `a` (k, m), `b` (k, n), `self` (m, n).
  public func assign(transposed a: MatrixView, times b: MatrixView, scale: Float = 1, keeping: Float = 0) {
    precondition(a.rows == b.rows && rows == a.columns && columns == b.columns, "shapes do not fit")
    sgemm(a, b, transposedFirst: true, transposed: false, inner: a.rows, scale, keeping)
  }

  private func sgemm(
    _ a: MatrixView, _ b: MatrixView, transposedFirst: Bool = false, transposed: Bool, inner: Int, _ scale: Float,
    _ keeping: Float
  ) {
    guard rows > 0, columns > 0 else { return }
    _ = oneThreadInside
    unsafe cblas_sgemm(
      CblasRowMajor, transposedFirst ? CblasTrans : CblasNoTrans, transposed ? CblasTrans : CblasNoTrans,
      Int32(rows), Int32(columns), Int32(inner),
      scale, a.pointer, Int32(max(1, a.stride)), b.pointer, Int32(max(1, b.stride)), keeping, pointer,
      Int32(max(1, stride)))
  }

  /// The definition of `assign(_:timesTransposed:)`: plain loops, products summed in order of the inner index.
  package func assignPlainly(
    _ a: MatrixView, timesTransposed b: MatrixView, scale: Float = 1, keeping: Float = 0
  ) {
    precondition(a.columns == b.columns && rows == a.rows && columns == b.rows, "shapes do not fit")
    for row in 0..<rows {
      let (x, y) = unsafe (a.pointer(row: row), pointer(row: row))
      for column in 0..<columns {
        let w = unsafe b.pointer(row: column)
        var sum: Float = 0
        for index in 0..<a.columns { unsafe sum += x[index] * w[index] }
        unsafe y[column] = scale * sum + (keeping == 0 ? 0 : keeping * y[column])
      }
    }
  }
}

/// Factors of symmetric matrices.
public enum Cholesky {
  /// Overwrites the lower triangle of A (n, n), row-major, with L of A = L Lᵀ. What stands above the diagonal is not touched.
  /// - Returns: `false` when A is not positive definite; what the matrix holds then means nothing.
  public static func factor(_ a: inout [Double], size n: Int) -> Bool {
    precondition(a.count == n * n, "not a square matrix")
    guard n > 0 else { return true }
    _ = oneThreadInside
    var (size, information) = (Int32(n), Int32(0))
    // LAPACK counts columns first, so its upper triangle is the lower one here.
    var upper = CChar(UInt8(ascii: "U"))
    unsafe a.withUnsafeMutableBufferPointer { a in
      unsafe dpotrf_(&upper, &size, a.baseAddress, &size, &information)
    }
    return information == 0
  }

  /// Overwrites each row b of B (rows, n) with the solution x of A x = b, where `factor` holds A's factor.
  public static func solve(_ factor: inout [Double], size n: Int, _ b: inout [Double]) {
    precondition(factor.count == n * n && b.count % max(1, n) == 0, "shapes do not fit")
    guard n > 0 else { return }
    var (size, rows, information) = (Int32(n), Int32(b.count / n), Int32(0))
    var upper = CChar(UInt8(ascii: "U"))
    unsafe factor.withUnsafeMutableBufferPointer { a in
      unsafe b.withUnsafeMutableBufferPointer { b in
        unsafe dpotrs_(&upper, &size, &rows, a.baseAddress, &size, b.baseAddress, &size, &information)
      }
    }
  }
}

/// BLAS uses the caller's thread and no other: threads are ours to own.
private let oneThreadInside: Void = {
  #if !canImport(Accelerate)
    openblas_set_num_threads(1)
  #endif
}()

import CKernels
public import Bytes

/// A matrix W (rows, columns) in the order in which products read it: in panels of 32 rows, column after column.
///
/// Several threads may fill it at once, as long as no two touch the same panel.
@safe public final class PackedMatrix: @unchecked Sendable {
  /// Rows of a panel.
  public static let panelRows = Int(QUERN_PRODUCT_COLUMNS)

  public let rows: Int
  public let columns: Int
  public let arithmetic: Arithmetic
  private let memory: AlignedMemory<UInt32>
  /// Words of each row.
  fileprivate let depth: Int

  /// All zero.
  /// - Throws: `LIMIT` when the memory cannot be had, `OVERFLOW`.
  public init(rows: Int, columns: Int, arithmetic: Arithmetic = .f32) throws(InputError) {
    (self.rows, self.columns, self.arithmetic) = (rows, columns, arithmetic)
    depth = (columns + arithmetic.valuesPerWord - 1) / arithmetic.valuesPerWord
    let padded = try SizeArithmetic.aligned(rows, to: PackedMatrix.panelRows)
    memory = try AlignedMemory(SizeArithmetic.product(padded, depth))
  }

  fileprivate func panel(_ row: Int) -> UnsafeMutablePointer<UInt32> { unsafe memory.base + row * depth }

  /// Takes over W's rows from `first` on. What is left of the last panel becomes zero.
  /// - Parameter first: of a panel.
  public func pack(_ w: MatrixView, at first: Int = 0) {
    precondition(first >= 0 && first % PackedMatrix.panelRows == 0 && first + w.rows <= rows, "rows out of range")
    precondition(w.columns == columns, "another width")
    unsafe quern_pack(
      arithmetic.kernelName, w.pointer, Int64(w.stride), Int64(w.rows), Int64(columns), panel(first), Int64(depth))
  }

  /// Takes over the first columns of W from its transpose (columns, rows). Only of F32.
  public func packTransposed(_ w: MatrixView) {
    precondition(arithmetic == .f32 && w.columns == rows && w.rows <= columns, "shapes do not fit")
    unsafe quern_pack_transposed(
      w.pointer, Int64(w.stride), Int64(rows), Int64(w.rows), panel(0), Int64(depth))
  }

  /// Everything.
  public var view: PackedView { self[0..<rows] }

  /// - Parameter rows: from the first of a panel on.
  public subscript(rows: Range<Int>) -> PackedView { self[rows, 0..<columns] }

  /// - Parameters:
  ///   - rows: from the first of a panel on.
  ///   - columns: any in F32; in BF16 from an even one on.
  public subscript(rows: Range<Int>, columns: Range<Int>) -> PackedView {
    PackedView(self, rows: rows, columns: columns)
  }
}

/// A window of a packed matrix.
public struct PackedView: Sendable {
  fileprivate let matrix: PackedMatrix
  fileprivate let firstRow: Int
  fileprivate let firstWord: Int
  public let rows: Int
  public let columns: Int

  fileprivate init(_ matrix: PackedMatrix, rows: Range<Int>, columns: Range<Int>) {
    precondition(rows.lowerBound >= 0 && rows.upperBound <= matrix.rows, "rows out of range")
    precondition(columns.lowerBound >= 0 && columns.upperBound <= matrix.columns, "columns out of range")
    precondition(rows.lowerBound % PackedMatrix.panelRows == 0, "not the first row of a panel")
    precondition(columns.lowerBound % matrix.arithmetic.valuesPerWord == 0, "not the first column of a pair")
    precondition(
      columns.upperBound == matrix.columns || columns.upperBound % matrix.arithmetic.valuesPerWord == 0,
      "not the last column of a pair")
    self.matrix = matrix
    (firstRow, firstWord) = (rows.lowerBound, columns.lowerBound / matrix.arithmetic.valuesPerWord)
    (self.rows, self.columns) = (rows.count, columns.count)
  }
}

/// What a thread needs for products, half a megabyte. Not to be used from two threads at once.
@safe public final class ProductScratch: @unchecked Sendable {
  fileprivate let memory: AlignedMemory<UInt32>
  public static let byteCount = Int(QUERN_PRODUCT_SCRATCH) * MemoryLayout<UInt32>.stride
  /// What was computed with it.
  public fileprivate(set) var work = ProductWork()

  /// - Throws: `LIMIT` when the memory cannot be had.
  public init() throws(InputError) { memory = try AlignedMemory(Int(QUERN_PRODUCT_SCRATCH)) }
}

extension MatrixView {
  /// `self = scale · a wᵀ`, or added to what `self` holds: `a` (m, k), `w` (n, k), `self` (m, n).
  ///
  /// In `w`'s arithmetic; on every instruction set the bits of `assignByDefinition`, however rows of `a` and panels of `w`
  /// are divided among calls. One thread; callers divide the work.
  /// - Parameter scratch: no other thread may use it meanwhile.
  public func assign(
    _ a: MatrixView, timesTransposed w: PackedView, scale: Float = 1, adding: Bool = false, _ scratch: ProductScratch
  ) {
    precondition(a.columns == w.columns && rows == a.rows && columns == w.rows, "shapes do not fit")
    guard rows > 0, columns > 0 else { return }
    let panels = unsafe w.matrix.panel(w.firstRow) + w.firstWord * PackedMatrix.panelRows
    var product = unsafe quern_product(
      a: a.pointer, panels: panels, y: pointer, scratch: scratch.memory.base, m: Int64(rows), n: Int64(columns),
      k: Int64(a.columns), a_stride: Int64(a.stride), panel_stride: Int64(w.matrix.depth * PackedMatrix.panelRows),
      y_stride: Int64(stride), scale: scale, adding: adding, arithmetic: w.matrix.arithmetic.kernelName)
    let began = SystemCalls.threadNanoseconds
    unsafe quern_multiply(&product)
    scratch.work.nanoseconds += SystemCalls.threadNanoseconds - began
    scratch.work.operations += 2 * rows * columns * a.columns
  }
}

/// Products that were computed, and in what time of processors.
public struct ProductWork: Hashable, Sendable {
  /// Additions and multiplications.
  public fileprivate(set) var operations = 0
  fileprivate var nanoseconds = 0

  public init() {}

  public mutating func merge(_ other: ProductWork) {
    operations += other.operations
    nanoseconds += other.nanoseconds
  }

  public var seconds: Double { Double(nanoseconds) / 1e9 }
  /// 10⁹ operations a second of one thread; NaN of nothing.
  public var gigaflops: Double { Double(operations) / Double(nanoseconds) }
}

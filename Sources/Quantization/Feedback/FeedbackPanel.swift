import Bytes
import Tensors

/// Some rows of a weight as they are being rounded, side by side: (columns, stride), columns in the order of rounding, of each
/// the rows and zeros up to a multiple of 32.
struct FeedbackPanel {
  let rows: Int
  let stride: Int
  /// What the rounded rows should come to.
  let target: Matrix
  /// Target less rounded, up to the column reached.
  let errors: Matrix
  /// Of the tile's columns: the target and what the errors before add to it.
  let compensated: Matrix
  /// Room for a block in the order of the file.
  let ordered: Matrix
  private(set) var tile = 0..<0

  /// - Parameter w: (rows, columns).
  init(_ w: MatrixView, _ factor: FeedbackFactor, tile: Int) throws(InputError) {
    rows = w.rows
    stride = (w.rows + 31) / 32 * 32
    target = try Matrix(rows: w.columns, columns: stride)
    errors = try Matrix(rows: w.columns, columns: stride)
    compensated = try Matrix(rows: tile, columns: stride)
    ordered = try Matrix(rows: tile, columns: stride)
    var moved = w
    if let correction = factor.correction {
      moved = try Matrix(rows: w.rows, columns: w.columns).view
      for row in 0..<rows { unsafe moved.pointer(row: row).update(from: w.pointer(row: row), count: w.columns) }
      moved.assign(w, times: correction.view, keeping: 1)
    }
    let (from, rowStride) = unsafe (moved.pointer, moved.stride)
    for (position, column) in factor.order.enumerated() {
      let to = unsafe target.view.pointer(row: position)
      for row in 0..<rows { unsafe to[row] = from[row * rowStride + column] }
    }
  }

  /// Turns to the columns `tile`, all before them being rounded.
  mutating func begin(_ tile: Range<Int>, _ factor: FeedbackFactor) {
    self.tile = tile
    let part = compensated[0..<tile.count]
    unsafe part.pointer.update(from: target[tile].pointer, count: tile.count * stride)
    if tile.lowerBound > 0 {
      let before = 0..<tile.lowerBound
      part.assign(transposed: factor.coefficients[before, tile], times: errors[before], keeping: 1)
    }
  }

  /// The compensated columns at the positions given, which lie in the tile.
  func compensated(_ positions: Range<Int>) -> MatrixView {
    compensated[positions.lowerBound - tile.lowerBound..<positions.upperBound - tile.lowerBound]
  }
}

import Bytes
import Tensors

/// Some rows of a weight as they are being rounded, side by side: (columns, stride), columns in the order of rounding, of each
/// the rows and zeros up to a multiple of 32.
struct FeedbackPanel {
  let rows: Int
  let stride: Int
  /// What the rounded rows should come to.
  let target: Matrix
  /// Of the tile's columns, target less rounded, up to the column reached.
  private let tileErrors: Matrix
  /// (rows, columns): the same of the tiles before.
  private let errors: Matrix
  /// Of the tile's columns: the target and what the errors before add to it.
  private let tileCompensated: Matrix
  /// (rows, tile): what the errors of the tiles before come to.
  private let sums: Matrix
  /// Room for a block in the order of the file.
  let ordered: Matrix
  private(set) var tile = 0..<0

  /// - Parameter w: (rows, columns).
  init(_ w: MatrixView, _ factor: FeedbackFactor, _ scratch: ProductScratch) throws(InputError) {
    let tile = FeedbackFactor.tile
    rows = w.rows
    stride = (w.rows + 31) / 32 * 32
    target = try Matrix(rows: w.columns, columns: stride)
    tileErrors = try Matrix(rows: tile, columns: stride)
    errors = try Matrix(rows: rows, columns: w.columns)
    tileCompensated = try Matrix(rows: tile, columns: stride)
    sums = try Matrix(rows: rows, columns: tile)
    ordered = try Matrix(rows: tile, columns: stride)
    var moved = w
    if let correction = factor.correction {
      moved = try correction.shift(of: w, scratch).view
      moved.add(w)
    }
    let (from, rowStride) = unsafe (moved.pointer, moved.stride)
    for (position, column) in factor.order.enumerated() {
      let to = unsafe target.view.pointer(row: position)
      for row in 0..<rows { unsafe to[row] = from[row * rowStride + column] }
    }
  }

  /// Turns to the columns `tile`, those of the tile before being rounded.
  mutating func begin(_ tile: Range<Int>, _ factor: FeedbackFactor, _ scratch: ProductScratch) {
    let (all, last) = (0..<rows, self.tile)
    tileErrors[0..<last.count, all].transpose(into: errors[all, last])
    self.tile = tile
    let part = 0..<tile.count
    unsafe tileCompensated[part].pointer.update(from: target[tile].pointer, count: tile.count * stride)
    guard tile.lowerBound > 0 else { return }
    let before = 0..<tile.lowerBound
    sums[all, part].assign(errors[all, before], timesTransposed: factor.before[tile, before], scratch)
    sums[all, part].transpose(into: ordered[part, all])
    tileCompensated[part, all].add(ordered[part, all])
  }

  private func inTile(_ positions: Range<Int>) -> Range<Int> {
    positions.lowerBound - tile.lowerBound..<positions.upperBound - tile.lowerBound
  }

  /// The compensated columns at the positions given, which lie in the tile.
  func compensated(_ positions: Range<Int>) -> MatrixView { tileCompensated[inTile(positions)] }

  /// The errors at the positions given, which lie in the tile.
  func errors(_ positions: Range<Int>) -> MatrixView { tileErrors[inTile(positions)] }
}

public import Bytes
public import Tensors

/// What a linear layer saw: `H = Σ x xᵀ` over the tokens, the second derivative of its squared output error.
///
/// Two may be added. Sums are taken in F32 over some thousand tokens at a time, tile by tile in a fixed order: the same
/// numbers at any `jobs`.
public struct Hessian: Sendable {
  public let size: Int
  /// Tokens seen.
  public private(set) var tokens = 0
  /// (size, size); only the tiles on and above the diagonal are kept up.
  let sums: Matrix
  /// (size, size): how far the inputs have drifted already.
  private(set) var cross: Matrix?

  private static let tile = 256

  public init(size: Int) throws(InputError) {
    self.size = size
    sums = try Matrix(rows: size, columns: size)
  }

  /// Adds the rows of `x` (tokens, size).
  public mutating func add(_ x: MatrixView, jobs: Int) throws {
    precondition(x.columns == size, "inputs of another width")
    tokens += x.rows
    let (sums, size) = (sums, size)
    let tiles = stride(from: 0, to: size, by: Hessian.tile).flatMap { row in
      stride(from: row, to: size, by: Hessian.tile).map { (row, $0) }
    }
    try Parallel.forEach(tiles.count, jobs: jobs) { index in
      let rows = tiles[index].0..<min(size, tiles[index].0 + Hessian.tile)
      let columns = tiles[index].1..<min(size, tiles[index].1 + Hessian.tile)
      sums[rows, columns].assign(transposed: x[0..<x.rows, rows], times: x[0..<x.rows, columns], keeping: 1)
    }
  }

  /// Adds `Σ (y_i − x_i) x_j`, where `y` is what the layer would see if nothing before it were rounded.
  public mutating func add(drift y: MatrixView, from x: MatrixView, jobs: Int) throws {
    let cross = try cross ?? Matrix(rows: size, columns: size)
    self.cross = cross
    let size = size
    for row in 0..<y.rows {
      let (a, b) = unsafe (y.pointer(row: row), x.pointer(row: row))
      for column in 0..<size { unsafe a[column] -= b[column] }
    }
    let tiles = (size + Hessian.tile - 1) / Hessian.tile
    try Parallel.forEach(tiles, jobs: jobs) { tile in
      let rows = tile * Hessian.tile..<min(size, (tile + 1) * Hessian.tile)
      cross[rows].assign(transposed: y[0..<y.rows, rows], times: x, keeping: 1)
    }
  }

  /// `Σ x_i x_j`.
  public subscript(row: Int, column: Int) -> Float {
    unsafe sums.view.pointer(row: min(row, column))[max(row, column)]
  }

  /// Σ x_j² of every column: the importance of plain rounding, times the tokens.
  public var diagonal: [Float] { (0..<size).map { self[$0, $0] } }
}

public import Bytes
public import Tensors

/// What a linear layer saw: `H = Σ x xᵀ` over the tokens, the second derivative of its squared output error.
///
/// Sums are taken in F32 by products of matrices, 256 tokens at a time: the same bits at any `jobs` and on any instruction
/// set.
public struct Hessian: Sendable {
  public let size: Int
  /// Tokens seen.
  public private(set) var tokens: Int
  /// (size, size); only the tiles on and above the diagonal are kept up.
  let sums: Matrix
  /// (size, size): how far the inputs have drifted already, over `driftTokens` of the tokens.
  private(set) var cross: Matrix?
  private(set) var driftTokens = 0

  private static let tile = 256
  /// Tokens that are turned round and packed at a time.
  private static let tokensTogether = 1024

  /// - Parameter tokens: of sums that were stored, which are to be put in `triangle(row:)`.
  public init(size: Int, tokens: Int = 0) throws(InputError) {
    (self.size, self.tokens) = (size, tokens)
    sums = try Matrix(rows: size, columns: size)
  }

  /// Adds the rows of `x` (tokens, size).
  /// - Parameter y: what the layer would see if nothing before it were rounded; `Σ (y_i − x_i) x_j` is added too. It need
  ///   not be given for all tokens: some show how far inputs have drifted.
  public mutating func add(_ x: MatrixView, undrifted y: MatrixView? = nil, jobs: Int) throws {
    precondition(x.columns == size && (y == nil || y?.rows == x.rows && y?.columns == size), "inputs of another shape")
    if y != nil, cross == nil { cross = try Matrix(rows: size, columns: size) }
    tokens += x.rows
    if y != nil { driftTokens += x.rows }
    for start in stride(from: 0, to: x.rows, by: Hessian.tokensTogether) {
      let part = start..<min(x.rows, start + Hessian.tokensTogether)
      try add(x[part], y.map { $0[part] }, jobs)
    }
  }

  private func add(_ x: MatrixView, _ y: MatrixView?, _ jobs: Int) throws {
    let (sums, cross) = (sums, cross)
    let tiles = stride(from: 0, to: size, by: Hessian.tile).map { $0..<min(size, $0 + Hessian.tile) }
    let sides = try Parallel.map(tiles.count, jobs: jobs) { index in
      try Side(x[0..<x.rows, tiles[index]], y.map { $0[0..<x.rows, tiles[index]] })
    }
    let pairs = tiles.indices.flatMap { row in
      ((y == nil ? row : 0)..<tiles.count).map { (row: row, column: $0) }
    }
    let scratch = try (0..<max(1, min(jobs, pairs.count))).map { _ in try ProductScratch() }
    try Parallel.forEachWithWorker(pairs.count, jobs: jobs) { index, worker in
      let (row, column) = pairs[index]
      let (rows, columns, other) = (tiles[row], tiles[column], sides[column].packed.view)
      if column >= row {
        sums[rows, columns].assign(sides[row].turned.view, timesTransposed: other, adding: true, scratch[worker])
      }
      if let drift = sides[row].drift {
        cross?[rows, columns].assign(drift.view, timesTransposed: other, adding: true, scratch[worker])
      }
    }
  }

  /// Some columns of the inputs, as the factors of products.
  private struct Side: Sendable {
    /// (columns, tokens).
    let turned: Matrix
    let packed: PackedMatrix
    /// (columns, tokens): undrifted less drifted.
    var drift: Matrix?

    init(_ x: MatrixView, _ y: MatrixView?) throws(InputError) {
      packed = try PackedMatrix(rows: x.columns, columns: x.rows)
      packed.packTransposed(x)
      turned = try x.transposed()
      guard let y else { return }
      let drift = try y.transposed()
      for row in 0..<drift.rows {
        let (to, from) = unsafe (drift.view.pointer(row: row), turned.view.pointer(row: row))
        for token in 0..<drift.columns { unsafe to[token] -= from[token] }
      }
      self.drift = drift
    }
  }

  /// `Σ x_i x_j`.
  public subscript(row: Int, column: Int) -> Float {
    unsafe sums.view.pointer(row: min(row, column))[max(row, column)]
  }

  /// Row `row` of the upper triangle, from the diagonal on: (1, size − row). All that a Hessian without drift is.
  public func triangle(row: Int) -> MatrixView { sums[row..<row + 1, row..<size] }

  /// Σ x_j² of every column: the importance of plain rounding, times the tokens.
  public var diagonal: [Float] { (0..<size).map { self[$0, $0] } }
}

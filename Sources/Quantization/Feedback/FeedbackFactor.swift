import Bytes
public import Tensors

/// How the error of one column is made good by the columns after it.
///
/// With the damped Hessian H = R Rᵀ, R upper triangular, the squared output error of rounding in order is
/// `Σ_k R_kk² (w̃_k − ŵ_k)²`, where `w̃_k = w_k + Σ_{i<k} (w_i − ŵ_i) R_ik / R_kk` (LDLQ, arXiv 2307.13304; the same integers
/// as GPTQ, arXiv 2210.17323, from one factorisation and no inverse).
///
/// The same bits at any `jobs` and on any instruction set.
public struct FeedbackFactor: Sendable {
  /// Columns between two products with the errors of all columns before.
  static let tile = 256

  /// Which column is rounded at each step.
  package let order: [Int]
  /// `R_kk²` in the order of rounding: what an error costs after all that later columns can mend.
  package let costs: [Float]
  /// Added to the diagonal, as a share of its mean.
  public let damping: Double
  /// Where drifted inputs move the target; `nil` when they do not.
  public let correction: FeedbackCorrection?
  /// (columns, tile): `R_ik / R_kk` of column i in row i, for the columns k after it in its tile.
  private let within: Matrix
  /// (columns, columns): `R_ik / R_kk` in row k, for the columns i before it; else zero.
  let before: PackedMatrix

  /// - Parameters:
  ///   - groups: what stays together in the order, as the type of the weights wants it.
  ///   - damping: of the mean of the diagonal; ten times more is tried, three times, where the matrix is not definite.
  ///   - isOrdered: by falling importance instead of from left to right.
  ///   - asymmetry: how far the target moves towards what undrifted inputs would give; from 0 to 1.
  ///   - other: a factor of the same Hessian, whose correction is taken over.
  /// - Returns: `nil` when nothing was seen or no damping helps.
  public init?(
    _ hessian: Hessian, for groups: ColumnGroups, damping: Double = 0.01, isOrdered: Bool = true,
    asymmetry: Double = 0.25, sharing other: FeedbackFactor? = nil, jobs: Int = 1
  ) throws {
    let n = hessian.size
    let diagonal = hessian.diagonal
    let mean = diagonal.reduce(0) { $0 + Double($1) } / Double(max(1, n))
    guard mean > 0, mean.isFinite else { return nil }
    let order = isOrdered ? groups.order(by: diagonal) : Array(0..<n)
    let s = try MatrixFactor(size: n)
    var share = damping
    var tries = 0
    repeat {
      guard tries < 4 else { return nil }
      if tries > 0 { share *= 10 }
      tries += 1
      let diagonalShare = share
      try Parallel.forEach(n, jobs: jobs) { row in
        let to = unsafe s.pointer(row: row)
        for column in 0...row { unsafe to[column] = Double(hessian[order[row], order[column]]) / mean }
        unsafe to[row] += diagonalShare
      }
    } while try !s.factor(jobs: jobs)

    (self.order, self.damping) = (order, share)
    costs = (0..<n).map { k in
      let root = unsafe s.pointer(row: k)[k]
      return Float(root * root)
    }
    let (within, before) = (
      try Matrix(rows: n, columns: FeedbackFactor.tile), try PackedMatrix(rows: n, columns: n)
    )
    try Parallel.forEach((n + FeedbackFactor.tile - 1) / FeedbackFactor.tile, jobs: jobs) { index in
      let tile = FeedbackFactor.tile(index, of: n)
      let rows = try FeedbackFactor.unitRows(s, tile)
      before.pack(rows.view, at: tile.lowerBound)
      for i in tile {
        let to = unsafe within.view.pointer(row: i)
        for k in i + 1..<max(i + 1, tile.upperBound) {
          unsafe to[k - tile.lowerBound] = rows.view.pointer(row: k - tile.lowerBound)[i]
        }
      }
    }
    (self.within, self.before) = (within, before)
    correction =
      if let other { other.correction } else if asymmetry > 0, let cross = hessian.cross {
        try FeedbackCorrection(
          cross, scale: asymmetry / mean * Double(hessian.tokens) / Double(hessian.driftTokens), factor: s,
          before: before, costs: costs, order: order, jobs: jobs)
      } else { nil }
  }

  static func tile(_ index: Int, of n: Int) -> Range<Int> { index * tile..<min(n, (index + 1) * tile) }

  /// Rows of S divided by their diagonal elements, which are left out: (rows, size).
  static func unitRows(_ s: MatrixFactor, _ rows: Range<Int>) throws(InputError) -> Matrix {
    let matrix = try Matrix(rows: rows.count, columns: s.size)
    for k in rows {
      let (from, to) = unsafe (s.pointer(row: k), matrix.view.pointer(row: k - rows.lowerBound))
      let pivot = unsafe from[k]
      for i in 0..<k { unsafe to[i] = Float(from[i] / pivot) }
    }
    return matrix
  }

  /// `R_ik / R_kk` for the columns `rows` and the columns `columns` after them, all of one tile.
  func coefficients(_ rows: Range<Int>, _ columns: Range<Int>) -> MatrixView {
    let start = rows.lowerBound / FeedbackFactor.tile * FeedbackFactor.tile
    return within[rows, columns.lowerBound - start..<columns.upperBound - start]
  }
}

/// Columns that stay together when they are ordered: blocks of groups that share a scale.
public struct ColumnGroups: Hashable, Sendable {
  package let block: Int
  package let group: Int

  package init(block: Int, group: Int) { (self.block, self.group) = (block, group) }

  /// No column stays with another.
  package static let none = ColumnGroups(block: .max, group: .max)

  /// Those of a type; types that have the same share a factor.
  public init(_ type: DType) {
    self.init(block: type.blockElements, group: LevelLayout(type)?.groupSize ?? type.blockElements)
  }

  /// Blocks by their largest column, their groups and the columns of a group likewise, by falling importance; the earlier of
  /// equals first.
  func order(by diagonal: [Float]) -> [Int] {
    func sorted(_ parts: [[Int]]) -> [Int] {
      parts.enumerated().sorted { (diagonal[$1.element[0]], $0.offset) < (diagonal[$0.element[0]], $1.offset) }
        .flatMap(\.element)
    }
    return sorted(
      stride(from: 0, to: diagonal.count, by: block).map { first in
        sorted(
          stride(from: first, to: min(diagonal.count, first + block), by: group).map { start in
            Array(start..<min(diagonal.count, start + group)).sorted { (diagonal[$1], $0) < (diagonal[$0], $1) }
          })
      })
  }
}

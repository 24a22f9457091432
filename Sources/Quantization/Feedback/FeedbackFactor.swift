public import Bytes
public import Tensors

/// How the error of one column is made good by the columns after it.
///
/// With the damped Hessian H = R Rᵀ, R upper triangular, the squared output error of rounding in order is
/// `Σ_k R_kk² (w̃_k − ŵ_k)²`, where `w̃_k = w_k + Σ_{i<k} (w_i − ŵ_i) R_ik / R_kk` (LDLQ, arXiv 2307.13304; the same integers
/// as GPTQ, arXiv 2210.17323, from one factorisation and no inverse).
public struct FeedbackFactor: Sendable {
  /// Which column is rounded at each step.
  package let order: [Int]
  /// `R_ik / R_kk` above the diagonal, in the order of rounding.
  package let coefficients: Matrix
  /// `R_kk²` in the order of rounding: what an error costs after all that later columns can mend.
  package let costs: [Float]
  /// M (columns, columns): the weights that come closest to the undrifted output are W + W M.
  package let correction: Matrix?
  /// Added to the diagonal, as a share of its mean.
  public let damping: Double

  /// - Parameters:
  ///   - type: of the weights to be rounded, whose blocks and groups stay together in the order.
  ///   - damping: of the mean of the diagonal; ten times more is tried, three times, where the matrix is not definite.
  ///   - isOrdered: by falling importance instead of from left to right.
  ///   - asymmetry: how far the target moves towards what undrifted inputs would give; from 0 to 1.
  /// - Returns: `nil` when nothing was seen or no damping helps.
  public init?(
    _ hessian: Hessian, for type: DType, damping: Double = 0.01, isOrdered: Bool = true, asymmetry: Double = 0.25
  ) throws(InputError) {
    let n = hessian.size
    let diagonal = hessian.diagonal
    let mean = diagonal.reduce(0) { $0 + Double($1) } / Double(max(1, n))
    guard mean > 0, mean.isFinite else { return nil }
    let order =
      isOrdered
      ? FeedbackFactor.order(diagonal, blockSize: type.blockElements, groupSize: ErrorFeedback.groupSize(type))
      : Array(0..<n)
    // Factored in reversed order: J H J = L Lᵀ gives R = J L J.
    let reversed = Array(order.reversed())
    var share = damping
    for _ in 0..<4 {
      var a = FeedbackFactor.damped(hessian, reversed, mean: mean, share)
      guard Cholesky.factor(&a, size: n) else {
        share *= 10
        continue
      }
      self.order = order
      self.damping = share
      costs = (0..<n).map { k in
        let root = a[(n - 1 - k) * (n + 1)]
        return Float(root * root)
      }
      coefficients = try Matrix(rows: n, columns: n)
      for i in 0..<n {
        let row = unsafe coefficients.view.pointer(row: i)
        for k in i + 1..<max(n, i + 1) {
          unsafe row[k] = Float(a[(n - 1 - i) * n + n - 1 - k] / a[(n - 1 - k) * (n + 1)])
        }
      }
      correction =
        asymmetry > 0
        ? try hessian.cross.map { cross throws(InputError) in
          try FeedbackFactor.correction(cross, &a, reversed, scale: asymmetry / mean)
        } : nil
      return
    }
    return nil
  }

  /// H / mean + share · I in the order given, row-major.
  private static func damped(_ hessian: Hessian, _ order: [Int], mean: Double, _ share: Double) -> [Double] {
    let n = order.count
    var a = [Double](repeating: 0, count: n * n)
    for row in 0..<n {
      for column in 0...row { a[row * n + column] = Double(hessian[order[row], order[column]]) / mean }
      a[row * (n + 1)] += share
    }
    return a
  }

  /// scale · C H⁻¹ for the cross matrix C (GPTAQ, arXiv 2504.02692, as a shift of the target).
  private static func correction(
    _ cross: Matrix, _ factor: inout [Double], _ order: [Int], scale: Double
  ) throws(InputError) -> Matrix {
    let n = order.count
    let matrix = try Matrix(rows: n, columns: n)
    var b = [Double](repeating: 0, count: n * n)
    for row in 0..<n {
      let from = unsafe cross.view.pointer(row: row)
      for column in 0..<n { unsafe b[row * n + column] = Double(from[order[column]]) * scale }
    }
    Cholesky.solve(&factor, size: n, &b)
    for row in 0..<n {
      let to = unsafe matrix.view.pointer(row: row)
      for column in 0..<n { unsafe to[order[column]] = Float(b[row * n + column]) }
    }
    return matrix
  }

  /// Blocks by their largest column, and the columns of a block, both by falling importance; the earlier of equals first.
  static func order(_ diagonal: [Float], blockSize: Int, groupSize: Int) -> [Int] {
    func sorted(_ parts: [[Int]]) -> [Int] {
      parts.enumerated().sorted { (diagonal[$1.element[0]], $0.offset) < (diagonal[$0.element[0]], $1.offset) }
        .flatMap(\.element)
    }
    return sorted(
      stride(from: 0, to: diagonal.count, by: blockSize).map { block in
        sorted(
          stride(from: block, to: min(diagonal.count, block + blockSize), by: groupSize).map { group in
            Array(group..<min(diagonal.count, group + groupSize)).sorted {
              (diagonal[$1], $0) < (diagonal[$0], $1)
            }
          })
      })
  }
}

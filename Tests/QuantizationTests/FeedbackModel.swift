import Quantization
import TestSupport
import Tensors

/// Rounding with error feedback as the literature has it, in F64.
enum FeedbackModel {
  /// Inputs (tokens, size) of uneven columns that depend on one another.
  static func inputs(_ tokens: Int, _ size: Int, _ generator: inout SeededGenerator) throws -> Matrix {
    let scales = (0..<size).map { _ in Float.random(in: 0.2...2, using: &generator) }
    var values: [Float] = []
    for _ in 0..<tokens {
      var last: Float = 0
      for column in 0..<size {
        last = 0.7 * last + Float.random(in: -1...1, using: &generator)
        values.append(last * scales[column])
      }
    }
    return try Matrix(rows: tokens, columns: size, values)
  }

  /// `Xᵀ X` over the mean of its diagonal, with `damping` added to the diagonal; row-major.
  static func hessian(_ x: Matrix, damping: Double) -> [Double] {
    let (n, values) = (x.columns, x.view.values.map { Double($0) })
    var h = [Double](repeating: 0, count: n * n)
    for token in 0..<x.rows {
      for row in 0..<n {
        let a = values[token * n + row]
        for column in 0..<n { h[row * n + column] += a * values[token * n + column] }
      }
    }
    let mean = (0..<n).reduce(0) { $0 + h[$1 * (n + 1)] } / Double(n)
    for index in h.indices { h[index] /= mean }
    for row in 0..<n { h[row * (n + 1)] += damping }
    return h
  }

  /// L of A = L Lᵀ, by the sums of the definition.
  static func cholesky(_ a: [Double], _ n: Int) -> [Double] {
    var l = [Double](repeating: 0, count: n * n)
    for row in 0..<n {
      for column in 0...row {
        var sum = a[row * n + column]
        for k in 0..<column { sum -= l[row * n + k] * l[column * n + k] }
        l[row * n + column] = row == column ? sum.squareRoot() : sum / l[column * (n + 1)]
      }
    }
    return l
  }

  /// The inverse of A, symmetric and definite: `L⁻ᵀ L⁻¹`.
  static func inverse(_ a: [Double], _ n: Int) -> [Double] {
    let l = cholesky(a, n)
    var m = [Double](repeating: 0, count: n * n)
    for column in 0..<n {
      for row in column..<n {
        var sum = row == column ? 1.0 : 0
        for k in column..<row { sum -= l[row * n + k] * m[k * n + column] }
        m[row * n + column] = sum / l[row * (n + 1)]
      }
    }
    var result = [Double](repeating: 0, count: n * n)
    for k in 0..<n {
      for row in 0...k {
        let a = m[k * n + row]
        for column in 0...k { result[row * n + column] += a * m[k * n + column] }
      }
    }
    return result
  }

  /// What GPTQ stores (Frantar et al., arXiv 2210.17323, algorithm 1 without its blocks): the upper Cholesky factor U of the
  /// inverse, columns in `order`, after each `w_k −= (w_j − q_j) / U_jj · U_jk`.
  ///
  /// - Parameters:
  ///   - u: U, row-major, in the order of rounding.
  ///   - nearest: of a value and its column, what it is stored as.
  static func gptq(
    _ w: [Double], _ u: [Double], order: [Int], _ nearest: (Double, Int) -> Double
  ) -> (compensated: [Double], stored: [Double]) {
    let n = w.count
    var (rest, stored, compensated) = (order.map { w[$0] }, w, w)
    for j in 0..<n {
      compensated[order[j]] = rest[j]
      stored[order[j]] = nearest(rest[j], order[j])
      let error = (rest[j] - stored[order[j]]) / u[j * (n + 1)]
      for k in j..<n { rest[k] -= error * u[j * n + k] }
    }
    return (compensated, stored)
  }

  /// `e H eᵀ`.
  static func loss(_ e: [Double], _ h: [Double]) -> Double {
    let n = e.count
    var sum = 0.0
    for row in 0..<n {
      var product = 0.0
      for column in 0..<n { product += h[row * n + column] * e[column] }
      sum += e[row] * product
    }
    return sum
  }
}

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif
public import Tensors

/// What is read from rows of logits.
public enum LogitMath {
  /// `-ln softmax(logits)[target]` of one row.
  public static func negativeLogLikelihood(_ logits: MatrixView, row: Int, target: Int) -> Double {
    let x = unsafe logits.pointer(row: row)
    let maximum = unsafe RowMath.maximum(x, count: logits.columns)
    let sum = unsafe RowMath.sumOfExponentials(x, maximum: maximum, count: logits.columns)
    return unsafe Double(maximum) + log(sum) - Double(x[target])
  }

  /// `ln softmax(logits)` of one row.
  public static func logSoftmax(_ logits: MatrixView, row: Int) -> [Double] {
    let x = unsafe logits.pointer(row: row)
    let maximum = unsafe RowMath.maximum(x, count: logits.columns)
    let offset = unsafe Double(maximum) + log(RowMath.sumOfExponentials(x, maximum: maximum, count: logits.columns))
    return (0..<logits.columns).map { unsafe Double(x[$0]) - offset }
  }

  /// Two models' logits for one position, in the same row of two tiles.
  public static func drift(
    reference: MatrixView, quantized: MatrixView, row: Int, target: Int
  ) -> TokenDrift {
    let (p, q, count) = unsafe (reference.pointer(row: row), quantized.pointer(row: row), reference.columns)
    let (pMaximum, qMaximum) = unsafe (RowMath.maximum(p, count: count), RowMath.maximum(q, count: count))
    let pSum = unsafe RowMath.sumOfExponentials(p, maximum: pMaximum, count: count)
    let qSum = unsafe RowMath.sumOfExponentials(q, maximum: qMaximum, count: count)
    let (pLog, qLog) = (Double(pMaximum) + log(pSum), Double(qMaximum) + log(qSum))
    let divergence = unsafe RowMath.sumOfDivergences(
      p, pMaximum, q, qMaximum, shift: Float(pLog - qLog), ratio: Float(pSum / qSum), count: count)
    return TokenDrift(
      reference: unsafe pLog - Double(p[target]), quantized: unsafe qLog - Double(q[target]),
      divergence: divergence / pSum,
      referenceChoice: Int32(unsafe RowMath.firstIndex(of: pMaximum, in: p, count: count)),
      quantizedChoice: Int32(unsafe RowMath.firstIndex(of: qMaximum, in: q, count: count)))
  }
}

extension RowMath {
  /// Elements whose sum is taken in F32 before it joins the F64 total.
  private static let stretch = 512

  /// `Σ e^(x - maximum)`.
  static func sumOfExponentials(_ x: Row, maximum: Float, count: Int) -> Double {
    var total = 0.0
    var start = 0
    while start < count {
      let end = min(count, start + stretch)
      var sums = Lanes()
      for index in stride(from: start, to: start + (end - start) & ~7, by: 8) {
        sums += unsafe exp(load(x, index) - maximum)
      }
      for index in (start + (end - start) & ~7)..<end { sums[0] += unsafe exp(Lanes(repeating: x[index] - maximum))[0] }
      total += Double(sums.sum())
      start = end
    }
    return total
  }

  /// `Σ e^(x - maximum of x) (e^-d - 1 + d)` where `d = x - y - shift`: with `shift` the difference of the logarithms of both
  /// sums of exponentials, this is the divergence times x's sum.
  ///
  /// `Σ p d` is the same in exact arithmetic, since `Σ p (e^-d - 1) = Σ q - Σ p = 0`. But its terms are of either sign and
  /// cancel; here none is negative, and an error of `shift` does not show in the first order.
  /// - Parameter ratio: x's sum of exponentials over y's.
  static func sumOfDivergences(
    _ x: Row, _ xMaximum: Float, _ y: Row, _ yMaximum: Float, shift: Float, ratio: Float, count: Int
  ) -> Double {
    var total = 0.0
    var start = 0
    while start < count {
      let end = min(count, start + stretch)
      let whole = start + (end - start) & ~7
      var sum = Lanes()
      for index in stride(from: start, to: whole, by: 8) {
        let (a, b) = unsafe (load(x, index), load(y, index))
        sum += divergences(a, xMaximum, b, yMaximum, shift, ratio)
      }
      for index in whole..<end {
        let (a, b) = unsafe (Lanes(repeating: x[index]), Lanes(repeating: y[index]))
        sum[0] += divergences(a, xMaximum, b, yMaximum, shift, ratio)[0]
      }
      total += Double(sum.sum())
      start = end
    }
    return total
  }

  @inline(__always)
  private static func divergences(
    _ a: Lanes, _ aMaximum: Float, _ b: Lanes, _ bMaximum: Float, _ shift: Float, _ ratio: Float
  ) -> Lanes {
    let d = a - b - shift
    let weight = exp(a - aMaximum)
    // e^-d - 1 + d by its series, exact to a rounding up to 1/2; beyond, weight · e^-d is the other model's weight.
    var series = Lanes(repeating: -1 / 362_880)
    for factor: Float in [1 / 40320, -1 / 5040, 1 / 720, -1 / 120, 1 / 24, -1 / 6, 1 / 2] {
      series = series * d + factor
    }
    let near = weight * (series * d * d)
    let far = weight * (d - 1) + exp(b - bMaximum) * ratio
    return far.replacing(with: near, where: (d .<= 0.5) .& (d .>= -0.5))
  }

  /// The first place that holds `value`; -1 when none does.
  static func firstIndex(of value: Float, in x: Row, count: Int) -> Int {
    for index in 0..<count where unsafe x[index] == value { return index }
    return -1
  }
}

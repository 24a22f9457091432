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
    let divergence = unsafe Divergence(
      pMaximum: pMaximum, qMaximum: qMaximum, shift: Float(pLog - qLog), ratio: Float(pSum / qSum)
    ).sum(p, q, count: count)
    return TokenDrift(
      reference: unsafe pLog - Double(p[target]), quantized: unsafe qLog - Double(q[target]),
      divergence: divergence / pSum,
      referenceChoice: Int32(unsafe RowMath.firstIndex(of: pMaximum, in: p, count: count)),
      quantizedChoice: Int32(unsafe RowMath.firstIndex(of: qMaximum, in: q, count: count)))
  }
}

/// The divergence of two rows of logits p and q, without cancellation.
///
/// `Σ p d` with `d = ln p − ln q` is `Σ p (e^-d − 1 + d)` in exact arithmetic, since `Σ p (e^-d − 1) = Σ q − Σ p = 0`. But the
/// terms of the first are of either sign and cancel; none of the second is negative, and an error of `shift` does not show in
/// the first order.
private struct Divergence {
  private typealias Lanes = RowDefinition.Lanes
  let pMaximum, qMaximum: Float
  /// The difference of the logarithms of both sums of exponentials.
  let shift: Float
  /// p's sum of exponentials over q's.
  let ratio: Float

  /// Elements whose sum is taken in F32 before it joins the F64 total.
  private static let stretch = 512

  /// The divergence times p's sum of exponentials.
  func sum(_ p: UnsafeMutablePointer<Float>, _ q: UnsafeMutablePointer<Float>, count: Int) -> Double {
    var total = 0.0
    for start in stride(from: 0, to: count, by: Divergence.stretch) {
      let end = min(count, start + Divergence.stretch)
      let whole = start + (end - start) / Lanes.scalarCount * Lanes.scalarCount
      var sum = Lanes()
      for index in stride(from: start, to: whole, by: Lanes.scalarCount) {
        let a = unsafe UnsafeRawPointer(p + index).loadUnaligned(as: Lanes.self)
        let b = unsafe UnsafeRawPointer(q + index).loadUnaligned(as: Lanes.self)
        sum += terms(a, b)
      }
      for index in whole..<end {
        sum[0] += unsafe terms(Lanes(repeating: p[index]), Lanes(repeating: q[index]))[0]
      }
      total += Double(sum.sum())
    }
    return total
  }

  @inline(__always)
  private func terms(_ p: Lanes, _ q: Lanes) -> Lanes {
    let d = p - q - shift
    let weight = RowDefinition.exp(p - pMaximum)
    // e^-d − 1 + d by its series, exact to a rounding up to 1/2; beyond, weight · e^-d is the other model's weight.
    var series = Lanes(repeating: -1 / 362_880)
    for factor: Float in [1 / 40320, -1 / 5040, 1 / 720, -1 / 120, 1 / 24, -1 / 6, 1 / 2] {
      series = series * d + factor
    }
    let near = weight * (series * d * d)
    let far = weight * (d - 1) + RowDefinition.exp(q - qMaximum) * ratio
    return far.replacing(with: near, where: (d .<= 0.5) .& (d .>= -0.5))
  }
}

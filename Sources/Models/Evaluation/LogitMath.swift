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
    let sums = unsafe RowMath.sumsForDivergence(p, pMaximum, q, qMaximum, count: count)
    let pLog = Double(pMaximum) + log(sums.p)
    let qLog = Double(qMaximum) + log(sums.q)
    return TokenDrift(
      reference: unsafe pLog - Double(p[target]), quantized: unsafe qLog - Double(q[target]),
      divergence: sums.weighted / sums.p - pLog + qLog,
      referenceChoice: Int32(unsafe RowMath.firstIndex(of: pMaximum, in: p, count: count)),
      quantizedChoice: Int32(unsafe RowMath.firstIndex(of: qMaximum, in: q, count: count)))
  }
}

public import Tensors

/// What is read from rows of logits.
public enum LogitMath {
  /// `-ln softmax(logits)[target]` of one row.
  public static func negativeLogLikelihood(_ logits: MatrixView, row: Int, target: Int) -> Double {
    let x = unsafe logits.pointer(row: row)
    return unsafe RowMath.exponentialSum(x, count: logits.columns).logarithm - Double(x[target])
  }

  /// `ln softmax(logits)` of one row.
  public static func logSoftmax(_ logits: MatrixView, row: Int) -> [Double] {
    let x = unsafe logits.pointer(row: row)
    let offset = unsafe RowMath.exponentialSum(x, count: logits.columns).logarithm
    return (0..<logits.columns).map { unsafe Double(x[$0]) - offset }
  }

  /// Two models' logits for one position, in the same row of two tiles.
  public static func drift(
    reference: MatrixView, quantized: MatrixView, row: Int, target: Int
  ) -> TokenDrift {
    let (p, q, count) = unsafe (reference.pointer(row: row), quantized.pointer(row: row), reference.columns)
    let pSum = unsafe RowMath.exponentialSum(p, count: count)
    let qSum = unsafe RowMath.exponentialSum(q, count: count)
    return TokenDrift(
      reference: unsafe pSum.logarithm - Double(p[target]), quantized: unsafe qSum.logarithm - Double(q[target]),
      divergence: unsafe RowMath.divergence(p, pSum, q, qSum, count: count) / pSum.sum,
      referenceChoice: Int32(unsafe RowMath.firstIndex(of: pSum.maximum, in: p, count: count)),
      quantizedChoice: Int32(unsafe RowMath.firstIndex(of: qSum.maximum, in: q, count: count)))
  }
}

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

  /// `p = Σ e^(x - maximum of x)`, `q` the same of y, `weighted = Σ e^(x - maximum of x) (x - y)`.
  static func sumsForDivergence(
    _ x: Row, _ xMaximum: Float, _ y: Row, _ yMaximum: Float, count: Int
  ) -> (p: Double, q: Double, weighted: Double) {
    var total = (p: 0.0, q: 0.0, weighted: 0.0)
    var start = 0
    while start < count {
      let end = min(count, start + stretch)
      let whole = start + (end - start) & ~7
      var (p, q, weighted) = (Lanes(), Lanes(), Lanes())
      for index in stride(from: start, to: whole, by: 8) {
        let (a, b) = unsafe (load(x, index), load(y, index))
        let weight = exp(a - xMaximum)
        p += weight
        q += exp(b - yMaximum)
        weighted += weight * (a - b)
      }
      for index in whole..<end {
        let (a, b) = unsafe (x[index], y[index])
        let weight = exp(Lanes(repeating: a - xMaximum))[0]
        p[0] += weight
        q[0] += exp(Lanes(repeating: b - yMaximum))[0]
        weighted[0] += weight * (a - b)
      }
      total.p += Double(p.sum())
      total.q += Double(q.sum())
      total.weighted += Double(weighted.sum())
      start = end
    }
    return total
  }

  /// The first place that holds `value`; -1 when none does.
  static func firstIndex(of value: Float, in x: Row, count: Int) -> Int {
    for index in 0..<count where unsafe x[index] == value { return index }
    return -1
  }
}

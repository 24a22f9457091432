import CKernels

extension MatrixView {
  /// The definition of products with a packed `w`: `self = scale · a wᵀ`, or added to what `self` holds.
  ///
  /// An element is a sum of blocks: each is summed from zero in order of k, scaled, and added to what was there. In F32 a
  /// block has 256 products; in BF16 it has 256 pairs, of which the later product is added first, and numbers below 2⁻¹²⁶
  /// are zero on the way in and out, as in `vdpbf16ps` (Intel SDM; measured on a processor of AMD's too). Every product is
  /// added by a fused multiply-add.
  package func assignByDefinition(
    _ a: MatrixView, timesTransposed w: MatrixView, arithmetic: Arithmetic = .f32, scale: Float = 1,
    adding: Bool = false
  ) {
    precondition(a.columns == w.columns && rows == a.rows && columns == w.rows, "shapes do not fit")
    let block = Int(QUERN_PRODUCT_DEPTH) * arithmetic.valuesPerWord
    let (x, y) = (a.values, w.values)
    let inner = a.columns
    for row in 0..<rows {
      let place = unsafe pointer(row: row)
      for column in 0..<columns {
        var adding = adding
        for start in Swift.stride(from: 0, to: max(1, inner), by: block) {
          let part = start..<min(inner, start + block)
          let sum =
            arithmetic == .f32
            ? MatrixView.sum(x[row * inner..<(row + 1) * inner], y[column * inner..<(column + 1) * inner], part)
            : MatrixView.pairedSum(x[row * inner..<(row + 1) * inner], y[column * inner..<(column + 1) * inner], part)
          unsafe place[column] = adding ? place[column] + sum * scale : sum * scale
          adding = true
        }
      }
    }
  }

  private static func sum(_ x: ArraySlice<Float>, _ y: ArraySlice<Float>, _ part: Range<Int>) -> Float {
    var sum: Float = 0
    for k in part { sum = sum.addingProduct(x[x.startIndex + k], y[y.startIndex + k]) }
    return sum
  }

  private static func pairedSum(_ x: ArraySlice<Float>, _ y: ArraySlice<Float>, _ part: Range<Int>) -> Float {
    var sum: Float = 0
    for pair in Swift.stride(from: part.lowerBound, to: part.upperBound, by: 2) {
      for k in [pair + 1, pair] {
        let (a, b) =
          k < part.upperBound
          ? (BFloat.rounded(x[x.startIndex + k]), BFloat.rounded(y[y.startIndex + k])) : (0, 0)
        sum = BFloat.flushed(sum.addingProduct(a, b))
      }
    }
    return sum
  }
}

/// Numbers of BF16 arithmetic, held as `Float`.
package enum BFloat {
  /// Zero of the same sign where `x` is denormal.
  package static func flushed(_ x: Float) -> Float {
    x.magnitude < .leastNormalMagnitude ? Float(sign: x.sign, exponent: 0, significand: 0) : x
  }

  /// To eight bits of precision, to nearest even; denormal numbers become zero, NaN stay NaN.
  package static func rounded(_ x: Float) -> Float {
    guard !x.isNaN else { return Float(bitPattern: (x.bitPattern | 0x0040_0000) & 0xFFFF_0000) }
    let bits = flushed(x).bitPattern
    return Float(bitPattern: (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF_0000)
  }
}

import Tensors

/// Q4_0 and Q5_0, four or five bits a weight and a scale for 32: w = d (q − n), n = 8 or 16.
///
/// 1. `d`, half, negative where the value of largest magnitude is positive;
/// 2. `qh`, only of five bits, 32 bits: the fifth bit of element j at bit j;
/// 3. `qs`, 16 bytes: the low nibble of byte j is element j, the high one element j + 16.
enum Symmetric32 {
  static func quantize(
    _ x: Span<Float>, bits: Int32, importance: Span<Float>?, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    let n: Int32 = 1 << (bits - 1)
    let variance = importance == nil ? 0 : ErrorWeights.variance(x)
    var levels = ScaleSearch.Levels(repeating: 0)
    for block in 0..<x.count / 32 {
      let values = x.extracting(block * 32..<block * 32 + 32)
      let d: Float
      if let importance {
        let weights = ErrorWeights.weights(values, importance.extracting(block * 32..<block * 32 + 32), variance)
        d = ScaleSearch.symmetric(values, levels: n, weights: weights.span, into: &levels)
      } else {
        d = plain(values, n, &levels)
      }
      writer.put(Half.bits(computed: d), &out)
      Nibbles32.write(levels, hasHighBits: bits == 5, &writer, &out)
    }
  }

  /// The value of largest magnitude becomes −n; the others are rounded by adding n + 0.5 and truncating.
  private static func plain(_ x: Span<Float>, _ n: Int32, _ levels: inout ScaleSearch.Levels) -> Float {
    var (maximum, magnitude): (Float, Float) = (0, 0)
    for i in x.indices where magnitude < x[i].magnitude { (maximum, magnitude) = (x[i], x[i].magnitude) }
    let d = maximum / Float(-n)
    let inverse = d != 0 ? 1 / d : 0
    let shift = Float(n) + 0.5
    for i in x.indices {
      levels[i] = UInt8(truncatingIfNeeded: min(Int32(Rounding.truncated(x[i] * inverse + shift)), 2 * n - 1))
    }
    return d
  }
}

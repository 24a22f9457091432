import Tensors

/// Q4_1 and Q5_1, four or five bits a weight, a scale and a minimum for 32: w = d q + m.
///
/// 1. `d`, half;
/// 2. `m`, half: the smallest value;
/// 3. `qh`, only of five bits, 32 bits: the fifth bit of element j at bit j;
/// 4. `qs`, 16 bytes: the low nibble of byte j is element j, the high one element j + 16.
enum Affine32 {
  static func quantize(
    _ x: Span<Float>, bits: Int32, importance: Span<Float>?, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    let n: Int32 = (1 << bits) - 1
    let variance = importance == nil ? 0 : ErrorWeights.variance(x)
    var levels = ScaleSearch.Levels(repeating: 0)
    for block in 0..<x.count / 32 {
      let values = x.extracting(block * 32..<block * 32 + 32)
      let d, m: Float
      if let importance {
        let weights = ErrorWeights.weights(values, importance.extracting(block * 32..<block * 32 + 32), variance)
        let fit = ScaleSearch.affine(
          values, levels: n, weights: weights.span, from: -0.9, by: 0.05, steps: 36, absolute: false, into: &levels)
        (d, m) = (fit.scale, -fit.minimum)
      } else {
        (d, m) = plain(values, n, &levels)
      }
      writer.put(Half.bits(computed: d), &out)
      writer.put(Half.bits(computed: m), &out)
      Nibbles32.write(levels, hasHighBits: bits == 5, &writer, &out)
    }
  }

  /// From the smallest value to the largest; rounded by adding 0.5 and truncating.
  private static func plain(_ x: Span<Float>, _ n: Int32, _ levels: inout ScaleSearch.Levels) -> (d: Float, m: Float) {
    var (low, high) = (Float.greatestFiniteMagnitude, -Float.greatestFiniteMagnitude)
    for i in x.indices {
      if x[i] < low { low = x[i] }
      if x[i] > high { high = x[i] }
    }
    let d = (high - low) / Float(n)
    let inverse = d != 0 ? 1 / d : 0
    for i in x.indices {
      let level = Rounding.truncated((x[i] - low) * inverse + 0.5)
      // ggml clamps the four-bit form only; five bits are cut off when they are packed.
      levels[i] = UInt8(truncatingIfNeeded: n == 15 ? min(Int32(level), 15) : Int32(level))
    }
    return (d, low)
  }
}

import Tensors

/// IQ4_NL and IQ4_XS, four bits a weight that choose one of sixteen uneven levels.
///
/// IQ4_NL has a half for each 32 weights, w = d levels[q]; IQ4_XS a half for 256 and a six-bit scale for each 32 of them,
/// w = d (s − 32) levels[q]. The bytes are those that `NonlinearBlocks` reads (`quantize_row_iq4_nl_impl` of ggml-quants.c,
/// llama.cpp 0c1e57098).
enum BlockIQ4 {
  static func quantizeNL(
    _ x: Span<Float>, importance: Span<Float>?, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    for start in stride(from: 0, to: x.count, by: 32) {
      let range = start..<start + 32
      let values = x.extracting(range)
      let scale = search(values, weights(values, importance?.extracting(range), variance(values)))
      writer.put(Half.bits(computed: scale), &out)
      // A scale of zero gives every weight the level next to zero; a NaN, of finite values that overflowed, the last one.
      write(values, inverse: scale == 0 ? 0 : 1 / scale, &writer, &out)
    }
  }

  static func quantizeXS(
    _ x: Span<Float>, importance: Span<Float>?, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    for start in stride(from: 0, to: x.count, by: 256) {
      let values = x.extracting(start..<start + 256)
      let variance = variance(values)
      var scales = InlineArray<8, Float>(repeating: 0)
      for group in 0..<8 {
        let range = group * 32..<group * 32 + 32
        let important = importance?.extracting(start + range.lowerBound..<start + range.upperBound)
        let part = values.extracting(range)
        scales[group] = search(part, weights(part, important, variance))
      }

      let d = -scales.extreme(of: 8) / 32
      let inverse = d == 0 ? 0 : 1 / d
      var codes = InlineArray<8, Int32>(repeating: 0)
      var (low, high): (UInt32, UInt16) = (0, 0)
      for group in 0..<8 {
        codes[group] = Rounding.nearest(inverse * scales[group], in: -32...31)
        let code = UInt32(codes[group] + 32)
        low |= (code & 0xF) << UInt32(4 * group)
        high |= UInt16(code >> 4) << UInt16(2 * group)
      }
      writer.put(Half.bits(computed: d), &out)
      writer.put(high, &out)
      writer.put(low, &out)
      for group in 0..<8 {
        // The levels are those of the scale before it became a half.
        let scale = d * Float(codes[group])
        write(
          values.extracting(group * 32..<group * 32 + 32), inverse: scale == 0 ? 0 : 1 / scale, &writer, &out)
      }
    }
  }

  /// Twice the mean square; the sum is multiplied once, by a power of two, so that only it can overflow.
  private static func variance(_ x: Span<Float>) -> Float {
    var sum: Float = 0
    for i in x.indices { sum += x[i] * x[i] }
    return sum * (2 / Float(x.count))
  }

  /// x² where there is no importance.
  private static func weights(
    _ x: Span<Float>, _ importance: Span<Float>?, _ variance: Float
  ) -> InlineArray<32, Float> {
    if let importance { return ErrorWeights.weights(x, importance, variance) }
    var weights = InlineArray<32, Float>(repeating: 0)
    for i in 0..<32 { weights[i] = x[i] * x[i] }
    return weights
  }

  /// The scale of 32 values: the first candidate maps the value of largest magnitude to 127, fifteen more map it to
  /// −134 … −120; each is scored by the weighted least-squares fit of the scale.
  private static func search(_ x: Span<Float>, _ weights: borrowing InlineArray<32, Float>) -> Float {
    var (maximum, magnitude): (Float, Float) = (0, 0)
    for i in x.indices where x[i].magnitude > magnitude { (maximum, magnitude) = (x[i], x[i].magnitude) }
    guard magnitude >= Rounding.groupEpsilon else { return 0 }

    func fit(_ inverse: Float) -> (xq: Float, qq: Float) {
      var (sumXQ, sumQQ): (Float, Float) = (0, 0)
      for i in x.indices {
        let q = Float(NonlinearBlocks.levels[Int(nearestLevel(inverse * x[i]))])
        let w = weights[i]
        sumXQ += w * q * x[i]
        sumQQ += w * q * q
      }
      return (sumXQ, sumQQ)
    }

    let first = fit(1 / (-maximum / -127))
    var scale = first.qq > 0 ? first.xq / first.qq : 0
    var best = scale * first.xq
    for step in -7...7 {
      let (sumXQ, sumQQ) = fit(Float(step - 127) / maximum)
      if sumQQ > 0 && sumXQ * sumXQ > best * sumQQ {
        scale = sumXQ / sumQQ
        best = scale * sumXQ
      }
    }
    return scale
  }

  /// The code of the level nearest to `value`, the upper of two that are equally near; 15 for NaN.
  static func nearestLevel(_ value: Float) -> UInt8 {
    func level(_ code: Int) -> Float { Float(NonlinearBlocks.levels[code]) }
    if value <= level(0) { return 0 }
    if value >= level(15) { return 15 }
    var (below, above) = (0, 15)
    while above - below > 1 {
      let middle = (below + above) / 2
      if value < level(middle) { above = middle } else { below = middle }
    }
    return UInt8(value - level(below) < level(above) - value ? below : above)
  }

  private static func write(
    _ x: Span<Float>, inverse: Float, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    for j in 0..<16 {
      writer.put(nearestLevel(inverse * x[j]) | nearestLevel(inverse * x[j + 16]) << 4, &out)
    }
  }
}

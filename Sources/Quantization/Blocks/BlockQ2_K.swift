import Tensors

/// Two bits a weight, a four-bit scale and minimum for each group of 16, sixteen groups: w = d s q − dmin m.
///
/// 1. `scales`, 16 bytes: of each group the scale in the low nibble, the minimum in the high one;
/// 2. `qs`, 64 bytes: of 128 elements, element l + 32 k at bits 2 k of byte l;
/// 3. `d`, half;
/// 4. `dmin`, half.
enum BlockQ2_K {
  static func quantize(
    _ x: Span<Float>, importance: Span<Float>?, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    for start in stride(from: 0, to: x.count, by: 256) {
      let values = x.extracting(start..<start + 256)
      var block = SuperBlock()
      var scales = ScaleSearch.Levels(repeating: 0)
      var minimums = ScaleSearch.Levels(repeating: 0)
      let d, dmin: Float
      if let importance {
        search(values, importance.extracting(start..<start + 256), &block)
        d = ScaleSearch.positive(
          block.scales.span.extracting(0..<16), levels: 15, weights: block.weights.span, into: &scales)
        dmin = ScaleSearch.positive(
          block.minimums.span.extracting(0..<16), levels: 15, weights: block.weights.span, into: &minimums)
      } else {
        search(values, &block)
        (d, dmin) = (block.scales.maximum(of: 16) / 15, block.minimums.maximum(of: 16) / 15)
        round(block.scales, &scales)
        round(block.minimums, &minimums)
      }
      let (storedD, storedMin) = (Half.bits(computed: d), Half.bits(computed: dmin))
      for group in 0..<16 {
        let packed = scales[group] | minimums[group] << 4
        writer.put(packed, &out)
        block.requantize(
          values, group: group, size: 16, d: Half.float(storedD) * Float(packed & 0xF),
          m: Half.float(storedMin) * Float(packed >> 4), levels: 3)
      }
      block.writePairs(&writer, &out)
      writer.put(storedD, &out)
      writer.put(storedMin, &out)
    }
  }

  private static func search(_ x: Span<Float>, _ block: inout SuperBlock) {
    var levels = ScaleSearch.Levels(repeating: 0)
    var weights = InlineArray<32, Float>(repeating: 0)
    for group in 0..<16 {
      let values = x.extracting(group * 16..<group * 16 + 16)
      for i in 0..<16 { weights[i] = values[i].magnitude }
      (block.scales[group], block.minimums[group]) = ScaleSearch.affine(
        values, levels: 3, weights: weights.span, from: -0.5, by: 0.1, steps: 15, absolute: true, into: &levels)
      block.set(group, size: 16, levels)
    }
  }

  private static func search(_ x: Span<Float>, _ importance: Span<Float>, _ block: inout SuperBlock) {
    var levels = ScaleSearch.Levels(repeating: 0)
    let variance = ErrorWeights.variance(x)
    for group in 0..<16 {
      let range = group * 16..<group * 16 + 16
      let weights = ErrorWeights.weights(x.extracting(range), importance.extracting(range), variance)
      for i in 0..<16 { block.weights[group] += weights[i] }
      (block.scales[group], block.minimums[group]) = ScaleSearch.affine(
        x.extracting(range), levels: 3, weights: weights.span, from: -0.9, by: 0.05, steps: 36, absolute: false,
        into: &levels)
      block.set(group, size: 16, levels)
    }
  }

  private static func round(_ x: borrowing InlineArray<32, Float>, _ levels: inout ScaleSearch.Levels) {
    let maximum = x.maximum(of: 16)
    guard maximum > 0 else { return }
    let inverse = 15 / maximum
    for group in 0..<16 { levels[group] = UInt8(truncatingIfNeeded: Rounding.nearest(inverse * x[group])) }
  }
}

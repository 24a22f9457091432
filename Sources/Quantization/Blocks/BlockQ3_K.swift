import Tensors

/// Three bits a weight and a six-bit scale for each group of 16, sixteen groups: w = d (s − 32) (q − 4).
///
/// 1. `hmask`, 32 bytes: the third bit of element l + 32 k at bit k of byte l;
/// 2. `qs`, 64 bytes: the lower two bits; of 128 elements, element l + 32 k at bits 2 k of byte l;
/// 3. `scales`, 12 bytes: the low nibbles of scales j and j + 8 in byte j, then four upper bit pairs to a byte;
/// 4. `d`, half.
enum BlockQ3_K {
  static func quantize(
    _ x: Span<Float>, importance: Span<Float>?, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    for start in stride(from: 0, to: x.count, by: 256) {
      let values = x.extracting(start..<start + 256)
      var block = SuperBlock()
      var levels = ScaleSearch.Levels(repeating: 0)
      var scales = ScaleSearch.Levels(repeating: 32)
      let variance = importance == nil ? 0 : ErrorWeights.variance(values, times: 2)
      for group in 0..<16 {
        let range = group * 16..<group * 16 + 16
        if let importance {
          let weights = ErrorWeights.weights(
            values.extracting(range), importance.extracting(start + range.lowerBound..<start + range.upperBound),
            variance)
          for i in 0..<16 { block.weights[group] += weights[i] }
          block.scales[group] = ScaleSearch.symmetric(
            values.extracting(range), levels: 4, weights: weights.span, into: &levels)
        } else {
          block.scales[group] = ScaleSearch.refined(values.extracting(range), levels: 4, into: &levels)
        }
        block.set(group, size: 16, levels)
      }

      let d: UInt16
      if importance != nil {
        d = Half.bits(
          computed: ScaleSearch.symmetric(
            block.scales.span.extracting(0..<16), levels: 32, weights: block.weights.span, into: &scales))
      } else {
        let extreme = block.scales.extreme(of: 16)
        let inverse = -32 / extreme
        d = Half.bits(computed: extreme != 0 ? 1 / inverse : 0)
        for group in 0..<16 {
          // The nearest integer is cut to eight bits before it is clamped.
          let level = Int8(truncatingIfNeeded: Rounding.nearest(inverse * block.scales[group]))
          scales[group] = extreme != 0 ? UInt8(min(max(Int32(level), -32), 31) + 32) : 0
        }
      }
      for group in 0..<16 {
        block.requantizeSymmetric(
          values, group: group, d: Half.float(d) * Float(Int32(scales[group]) - 32), levels: 4)
      }
      write(&block, scales, d, &writer, &out)
    }
  }

  private static func write(
    _ block: inout SuperBlock, _ scales: borrowing ScaleSearch.Levels, _ d: UInt16, _ writer: inout ByteWriter,
    _ out: inout MutableRawSpan
  ) {
    for column in 0..<32 {
      var mask: UInt8 = 0
      for plane in 0..<8 where block.levels[32 * plane + column] > 3 {
        mask |= 1 << UInt8(plane)
        block.levels[32 * plane + column] -= 4
      }
      writer.put(mask, &out)
    }
    block.writePairs(&writer, &out)
    for j in 0..<8 { writer.put(scales[j] & 0xF | (scales[j + 8] & 0xF) << 4, &out) }
    for j in 0..<4 {
      let low = scales[j] >> 4 | (scales[j + 4] >> 4) << 2
      writer.put(low | (scales[j + 8] >> 4) << 4 | (scales[j + 12] >> 4) << 6, &out)
    }
    writer.put(d, &out)
  }
}

import Tensors

/// Q4_K and Q5_K, four or five bits a weight, a six-bit scale and minimum for each group of 32, eight groups:
/// w = d s q − dmin m.
///
/// 1. `d`, half;
/// 2. `dmin`, half;
/// 3. `scales`, 12 bytes: scales and minimums as `KBlocks.scaleAndMin` reads them;
/// 4. `qh`, only of five bits, 32 bytes: the fifth bit of element l of group g at bit g of byte l;
/// 5. `qs`, 128 bytes: of 64 elements, the first 32 in the low nibbles, the others in the high ones.
enum BlockQ45_K {
  static func quantize(
    _ x: Span<Float>, bits: Int32, importance: Span<Float>?, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    let n: Int32 = (1 << bits) - 1
    for start in stride(from: 0, to: x.count, by: 256) {
      let values = x.extracting(start..<start + 256)
      var block = SuperBlock()
      var scales = ScaleSearch.Levels(repeating: 0)
      var minimums = ScaleSearch.Levels(repeating: 0)
      let d, dmin: UInt16
      if let importance {
        search(values, n, importance.extracting(start..<start + 256), &block)
        d = Half.bits(
          computed: ScaleSearch.positive(
            block.scales.span.extracting(0..<8), levels: 63, weights: block.weights.span, into: &scales))
        dmin = Half.bits(
          computed: ScaleSearch.positive(
            block.minimums.span.extracting(0..<8), levels: 63, weights: block.weights.span, into: &minimums))
      } else {
        search(values, n, &block)
        d = round(block.scales, &scales)
        dmin = round(block.minimums, &minimums)
      }
      // A level that wrapped keeps only what six bits hold, as it would be read back.
      for group in 0..<8 {
        if bits == 5 { (scales[group], minimums[group]) = (min(63, scales[group]), min(63, minimums[group])) }
      }
      writer.put(d, &out)
      writer.put(dmin, &out)
      write(scales, minimums, &writer, &out)
      for group in 0..<8 {
        block.requantize(
          values, group: group, size: 32, d: Half.float(d) * Float(scales[group] & 63),
          m: Half.float(dmin) * Float(minimums[group] & 63), levels: n)
      }
      if bits == 5 {
        for l in 0..<32 {
          var high: UInt8 = 0
          for group in 0..<8 { high |= (block.levels[32 * group + l] >> 4) << UInt8(group) }
          writer.put(high, &out)
        }
      }
      for pair in 0..<4 {
        for l in 0..<32 {
          writer.put(block.levels[64 * pair + l] & 0xF | (block.levels[64 * pair + 32 + l] & 0xF) << 4, &out)
        }
      }
    }
  }

  /// Without importance an error weighs √(mean x²) + |x|.
  private static func search(_ x: Span<Float>, _ n: Int32, _ block: inout SuperBlock) {
    var levels = ScaleSearch.Levels(repeating: 0)
    var weights = InlineArray<32, Float>(repeating: 0)
    for group in 0..<8 {
      let values = x.extracting(group * 32..<group * 32 + 32)
      let average = ErrorWeights.variance(values).squareRoot()
      for i in 0..<32 { weights[i] = average + values[i].magnitude }
      (block.scales[group], block.minimums[group]) = ScaleSearch.affine(
        values, levels: n, weights: weights.span, from: n == 15 ? -1 : -0.5, by: 0.1, steps: n == 15 ? 20 : 15,
        absolute: false, into: &levels)
      block.set(group, size: 32, levels)
    }
  }

  private static func search(_ x: Span<Float>, _ n: Int32, _ importance: Span<Float>, _ block: inout SuperBlock) {
    var levels = ScaleSearch.Levels(repeating: 0)
    let variance = ErrorWeights.variance(x, times: 2)
    for group in 0..<8 {
      let range = group * 32..<group * 32 + 32
      let weights = ErrorWeights.weights(x.extracting(range), importance.extracting(range), variance)
      for i in 0..<32 { block.weights[group] += weights[i] }
      (block.scales[group], block.minimums[group]) = ScaleSearch.affine(
        x.extracting(range), levels: n, weights: weights.span, from: -0.9, by: 0.05, steps: 36, absolute: false,
        into: &levels)
      block.set(group, size: 32, levels)
    }
  }

  /// Eight scales to six bits of the largest; returns that largest / 63 as stored.
  private static func round(_ x: borrowing InlineArray<32, Float>, _ levels: inout ScaleSearch.Levels) -> UInt16 {
    let maximum = x.maximum(of: 8)
    let inverse = maximum > 0 ? 63 / maximum : 0
    for group in 0..<8 {
      levels[group] = min(63, UInt8(truncatingIfNeeded: Rounding.nearest(inverse * x[group])))
    }
    return Half.bits(computed: maximum / 63)
  }

  /// The packing that `KBlocks.scaleAndMin` reads.
  private static func write(
    _ scales: borrowing ScaleSearch.Levels, _ minimums: borrowing ScaleSearch.Levels, _ writer: inout ByteWriter,
    _ out: inout MutableRawSpan
  ) {
    for j in 0..<4 { writer.put(scales[j] | (scales[j + 4] >> 4) << 6, &out) }
    for j in 0..<4 { writer.put(minimums[j] | (minimums[j + 4] >> 4) << 6, &out) }
    for j in 4..<8 { writer.put(scales[j] & 0xF | (minimums[j] & 0xF) << 4, &out) }
  }
}

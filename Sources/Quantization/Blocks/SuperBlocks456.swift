import Tensors

/// Q4_K and Q5_K: 1. `d`; 2. `dmin`; 3. `scales`, 12 bytes; 4. for five bits `qh`, 32 bytes; 5. `qs`, 128 bytes. Groups of
/// 32: see `KBlocks.q4_K` and `q5_K`.
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
      let average = meanSquare(values).squareRoot()
      for i in 0..<32 { weights[i] = average + values[i].magnitude }
      (block.scales[group], block.minimums[group]) = ScaleSearch.affine(
        values, levels: n, weights: weights.span, from: n == 15 ? -1 : -0.5, by: 0.1, steps: n == 15 ? 20 : 15,
        absolute: false, into: &levels)
      block.set(group, size: 32, levels)
    }
  }

  private static func search(_ x: Span<Float>, _ n: Int32, _ importance: Span<Float>, _ block: inout SuperBlock) {
    var levels = ScaleSearch.Levels(repeating: 0)
    let variance = 2 * meanSquare(x)
    for group in 0..<8 {
      let range = group * 32..<group * 32 + 32
      let weights = weights(x.extracting(range), importance.extracting(range), variance)
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

/// 1. `ql`, 128 bytes; 2. `qh`, 64 bytes; 3. `scales`, 16 signed bytes; 4. `d`. Groups of 16: see `KBlocks.q6_K`.
enum BlockQ6_K {
  static func quantize(
    _ x: Span<Float>, importance: Span<Float>?, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    for start in stride(from: 0, to: x.count, by: 256) {
      let values = x.extracting(start..<start + 256)
      var block = SuperBlock()
      var levels = ScaleSearch.Levels(repeating: 0)
      for group in 0..<16 {
        let range = group * 16..<group * 16 + 16
        // The importance itself is the weight here: no √(σ² + x²).
        block.scales[group] = ScaleSearch.symmetric(
          values.extracting(range), levels: 32,
          weights: importance?.extracting(start + range.lowerBound..<start + range.upperBound), into: &levels)
        block.set(group, size: 16, levels)
      }
      let extreme = block.scales.extreme(of: 16)
      guard extreme.magnitude >= Rounding.groupEpsilon else {
        for _ in 0..<210 { writer.put(0 as UInt8, &out) }
        continue
      }
      let inverse = -128 / extreme
      let d = Half.bits(computed: 1 / inverse)
      var scales = InlineArray<16, Int8>(repeating: 0)
      for group in 0..<16 {
        scales[group] = Int8(truncatingIfNeeded: min(127, Rounding.nearest(inverse * block.scales[group])))
        block.requantizeSymmetric(values, group: group, d: Half.float(d) * Float(scales[group]), levels: 32)
      }
      write(block.levels, &writer, &out)
      for group in 0..<16 { writer.put(scales[group], &out) }
      writer.put(d, &out)
    }
  }

  private static func write(
    _ levels: borrowing InlineArray<256, UInt8>, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    for half in 0..<2 {
      for l in 0..<64 {
        let at = 128 * half + l
        writer.put(levels[at] & 0xF | (levels[at + 64] & 0xF) << 4, &out)
      }
    }
    for half in 0..<2 {
      for l in 0..<32 {
        let at = 128 * half + l
        let low = levels[at] >> 4 | (levels[at + 32] >> 4) << 2
        writer.put(low | (levels[at + 64] >> 4) << 4 | (levels[at + 96] >> 4) << 6, &out)
      }
    }
  }
}

import Tensors

/// Sixteen or eight groups of a super-block of 256, as the searches left them.
struct SuperBlock {
  var levels = InlineArray<256, UInt8>(repeating: 0)
  var scales = InlineArray<32, Float>(repeating: 0)
  var minimums = InlineArray<32, Float>(repeating: 0)
  /// Sum of the weights of each group.
  var weights = InlineArray<32, Float>(repeating: 0)

  mutating func set(_ group: Int, size: Int, _ groupLevels: borrowing ScaleSearch.Levels) {
    for i in 0..<size { levels[group * size + i] = groupLevels[i] }
  }

  /// Rounds the values of a group anew on the stored scale and minimum: l = (x + m) / d.
  mutating func requantize(_ x: Span<Float>, group: Int, size: Int, d: Float, m: Float, levels n: Int32) {
    // Without a scale every level means the same; those of the search stay.
    guard d != 0 else { return }
    for i in group * size..<(group + 1) * size {
      levels[i] = UInt8(Rounding.nearest((x[i] + m) / d, in: 0...n))
    }
  }

  /// The same for l = x / d + n without a minimum.
  mutating func requantizeSymmetric(_ x: Span<Float>, group: Int, d: Float, levels n: Int32) {
    guard d != 0 else { return }
    for i in group * 16..<(group + 1) * 16 {
      levels[i] = UInt8(Rounding.nearest(x[i] / d, in: -n...n - 1) + n)
    }
  }

  /// 2-bit quants: of 128 elements, element l + 32 k at bits 2 k of byte l.
  func writePairs(_ writer: inout ByteWriter, _ out: inout MutableRawSpan) {
    for half in 0..<2 {
      for l in 0..<32 {
        let at = 128 * half + l
        let low = levels[at] | levels[at + 32] << 2
        writer.put(low | levels[at + 64] << 4 | levels[at + 96] << 6, &out)
      }
    }
  }
}

extension InlineArray where Element == Float {
  /// The largest positive value, 0 if there is none.
  func maximum(of count: Int) -> Float {
    var maximum: Float = 0
    for i in 0..<count where self[i] > maximum { maximum = self[i] }
    return maximum
  }

  /// The value of largest magnitude, the first of equals.
  func extreme(of count: Int) -> Float {
    var (extreme, magnitude): (Float, Float) = (0, 0)
    for i in 0..<count where self[i].magnitude > magnitude { (extreme, magnitude) = (self[i], self[i].magnitude) }
    return extreme
  }
}

/// 1. `scales`, 16 bytes; 2. `qs`, 64 bytes; 3. `d`; 4. `dmin`. Groups of 16, 2 bits: see `KBlocks.q2_K`.
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
    let variance = meanSquare(x)
    for group in 0..<16 {
      let range = group * 16..<group * 16 + 16
      let weights = weights(x.extracting(range), importance.extracting(range), variance)
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

/// 1. `hmask`, 32 bytes; 2. `qs`, 64 bytes; 3. `scales`, 12 bytes; 4. `d`. Groups of 16, 3 bits: see `KBlocks.q3_K`.
enum BlockQ3_K {
  static func quantize(
    _ x: Span<Float>, importance: Span<Float>?, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    for start in stride(from: 0, to: x.count, by: 256) {
      let values = x.extracting(start..<start + 256)
      var block = SuperBlock()
      var levels = ScaleSearch.Levels(repeating: 0)
      var scales = ScaleSearch.Levels(repeating: 32)
      let variance = importance == nil ? 0 : 2 * meanSquare(values)
      for group in 0..<16 {
        let range = group * 16..<group * 16 + 16
        if let importance {
          let weights = weights(
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

import Tensors

/// 1. `d`, half; 2. `qs`, 32 signed bytes. w = d q, q = w / d rounded half away from zero.
enum BlockQ8_0 {
  static func quantize(_ x: Span<Float>, _ writer: inout ByteWriter, _ out: inout MutableRawSpan) {
    for block in 0..<x.count / 32 {
      let values = x.extracting(block * 32..<block * 32 + 32)
      var magnitude: Float = 0
      for i in 0..<32 { magnitude = magnitude > values[i].magnitude ? magnitude : values[i].magnitude }
      let d = magnitude / 127
      let inverse = d != 0 ? 1 / d : 0
      writer.put(Half.bits(computed: d), &out)
      for i in 0..<32 {
        writer.put(Rounding.truncated((values[i] * inverse).rounded(.toNearestOrAwayFromZero)), &out)
      }
    }
  }
}

/// Q4_0 and Q5_0: 1. `d`, half; 2. for five bits `qh`, 32 bits; 3. `qs`, 16 bytes of nibbles. w = d (q − n), n = 8 or 16.
enum Symmetric32 {
  static func quantize(
    _ x: Span<Float>, bits: Int32, importance: Span<Float>?, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    let n: Int32 = 1 << (bits - 1)
    let variance = importance == nil ? 0 : meanSquare(x)
    var levels = ScaleSearch.Levels(repeating: 0)
    for block in 0..<x.count / 32 {
      let values = x.extracting(block * 32..<block * 32 + 32)
      let d: Float
      if let importance {
        let weights = weights(values, importance.extracting(block * 32..<block * 32 + 32), variance)
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

/// Q4_1 and Q5_1: 1. `d`, half; 2. `m`, half; 3. for five bits `qh`; 4. `qs`. w = d q + m.
enum Affine32 {
  static func quantize(
    _ x: Span<Float>, bits: Int32, importance: Span<Float>?, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    let n: Int32 = (1 << bits) - 1
    let variance = importance == nil ? 0 : meanSquare(x)
    var levels = ScaleSearch.Levels(repeating: 0)
    for block in 0..<x.count / 32 {
      let values = x.extracting(block * 32..<block * 32 + 32)
      let d, m: Float
      if let importance {
        let weights = weights(values, importance.extracting(block * 32..<block * 32 + 32), variance)
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

/// Element j in the low nibble of byte j, element j + 16 in the high one; fifth bits gathered before them.
private enum Nibbles32 {
  static func write(
    _ levels: borrowing ScaleSearch.Levels, hasHighBits: Bool, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    if hasHighBits {
      var high: UInt32 = 0
      for j in 0..<32 { high |= UInt32(levels[j] >> 4 & 1) << UInt32(j) }
      writer.put(high, &out)
      for j in 0..<16 { writer.put(levels[j] & 0xF | (levels[j + 16] & 0xF) << 4, &out) }
    } else {
      for j in 0..<16 { writer.put(levels[j] | levels[j + 16] << 4, &out) }
    }
  }
}

/// Mean of the squares of a row, or of a super-block.
func meanSquare(_ x: Span<Float>) -> Float {
  var sum: Float = 0
  for i in x.indices { sum += x[i] * x[i] }
  return sum / Float(x.count)
}

/// importance · √(variance + x²): how ggml turns the importance of a column into the weight of an error.
func weights(_ x: Span<Float>, _ importance: Span<Float>, _ variance: Float) -> InlineArray<32, Float> {
  var weights = InlineArray<32, Float>(repeating: 0)
  for i in x.indices { weights[i] = importance[i] * (variance + x[i] * x[i]).squareRoot() }
  return weights
}

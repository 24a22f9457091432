import Tensors

/// Six bits a weight and an eight-bit scale for each group of 16, sixteen groups: w = d s (q − 32).
///
/// 1. `ql`, 128 bytes: of 128 elements, the low nibbles of elements l and l + 64 in byte l;
/// 2. `qh`, 64 bytes: of 128 elements, the upper two bits of element l + 32 k at bits 2 k of byte l;
/// 3. `scales`, 16 signed bytes;
/// 4. `d`, half.
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

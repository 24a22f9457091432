import Tensors

/// IQ2_XXS, IQ2_XS and IQ2_S, an entry of a grid for each eight magnitudes, a sign each, and a four-bit scale for 32 or 16
/// weights: the bytes that `Grid8Blocks` reads (`quantize_row_iq2_*_impl` of ggml-quants.c, llama.cpp 0c1e57098).
///
/// Where an error is beyond all numbers, which takes enormous weights or importance, ggml aborts. Such a block is stored as
/// zeros with a scale that is NaN, so that it is refused as any other scale that overflowed.
enum BlockIQ2 {
  static func quantize(
    _ x: Span<Float>, importance: Span<Float>?, _ format: Grid8Search.Format, _ writer: inout ByteWriter,
    _ out: inout MutableRawSpan
  ) {
    let (size, bytes) = (format.size, format == .xxs ? 66 : format == .xs ? 74 : 82)
    for start in stride(from: 0, to: x.count, by: 256) {
      let values = x.extracting(start..<start + 256)
      let variance = ErrorWeights.variance(values, times: format == .s ? 2 : 1)
      var groups = InlineArray<16, Grid8Search.Group>(repeating: Grid8Search.Group())
      var (isLost, largest) = (false, 0 as Float)
      for group in 0..<256 / size {
        let part = values.extracting(group * size..<group * size + size)
        var weights = InlineArray<32, Float>(repeating: 0)
        if let importance {
          weights = ErrorWeights.weights(
            part, importance.extracting(start + group * size..<start + group * size + size), variance)
        } else {
          for i in 0..<size { weights[i] = 0.25 * variance + part[i] * part[i] }
        }
        var search = Grid8Search(part, weights: weights, format)
        groups[group] = search.result()
        isLost = isLost || search.isLost
        largest = largest > groups[group].scale ? largest : groups[group].scale
      }
      guard !isLost else {
        writer.put(0x7E00 as UInt16, &out)
        for _ in 2..<bytes { writer.put(0 as UInt8, &out) }
        continue
      }
      switch format {
      case .xxs: writeXXS(groups, largest, &writer, &out)
      case .xs: writeXS(groups, largest, &writer, &out)
      case .s: writeS(groups, largest, &writer, &out)
      }
    }
  }

  private typealias Groups = InlineArray<16, Grid8Search.Group>

  private static func writeXXS(
    _ groups: borrowing Groups, _ largest: Float, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    writer.put(largest != 0 ? Half.bits(computed: largest / 31) : 0, &out)
    for group in 0..<8 {
      var (entries, word): (UInt32, UInt32) = (0, 0)
      if largest != 0 {
        word = scaleCode(groups[group].scale, largest) << 28
        for eight in 0..<4 {
          entries |= UInt32(groups[group].entries[eight]) << UInt32(8 * eight)
          word |= UInt32(groups[group].signs[eight] & 127) << UInt32(7 * eight)
        }
      }
      writer.put(entries, &out)
      writer.put(word, &out)
    }
  }

  private static func writeXS(
    _ groups: borrowing Groups, _ largest: Float, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    writer.put(largest != 0 ? Half.bits(computed: largest / 31) : 0, &out)
    for group in 0..<16 {
      for eight in 0..<2 {
        let signs = UInt16(groups[group].signs[eight] & 127) << 9
        writer.put(largest != 0 ? groups[group].entries[eight] | signs : 0, &out)
      }
    }
    writeScales(groups, largest, &writer, &out)
  }

  private static func writeS(
    _ groups: borrowing Groups, _ largest: Float, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    writer.put(largest != 0 ? Half.bits(computed: largest / 31 * 0.9875) : 0, &out)
    for eight in 0..<32 { writer.put(UInt8(groups[eight / 2].entries[eight % 2] & 255), &out) }
    for eight in 0..<32 { writer.put(groups[eight / 2].signs[eight % 2], &out) }
    for four in 0..<8 {
      var high: UInt16 = 0
      for k in 0..<4 { high |= (groups[2 * four + k / 2].entries[k % 2] >> 8) << UInt16(2 * k) }
      writer.put(UInt8(high), &out)
    }
    writeScales(groups, largest, &writer, &out)
  }

  private static func writeScales(
    _ groups: borrowing Groups, _ largest: Float, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    for pair in 0..<8 {
      let (low, high) = (groups[2 * pair].scale, groups[2 * pair + 1].scale)
      writer.put(UInt8(largest != 0 ? scaleCode(low, largest) | scaleCode(high, largest) << 4 : 0), &out)
    }
  }

  /// s of (2 s + 1) / 31, the fraction of the largest.
  private static func scaleCode(_ scale: Float, _ largest: Float) -> UInt32 {
    UInt32(Rounding.nearest(0.5 * (1 / (largest / 31) * scale - 1), in: 0...15))
  }
}

import Tensors

/// IQ3_XXS and IQ3_S, an entry of a grid for each four magnitudes, a sign each, and a four-bit scale for 32 weights: the bytes
/// that `Grid4Blocks` reads (`quantize_row_iq3_xxs_impl` and `quantize_row_iq3_s_impl` of ggml-quants.c, llama.cpp 0c1e57098).
///
/// Where an error is beyond all numbers, which takes enormous weights or importance, ggml aborts. Such a block is stored as
/// zeros with a scale that is NaN, so that it is refused as any other scale that overflowed.
enum BlockIQ3 {
  static func quantizeXXS(
    _ x: Span<Float>, importance: Span<Float>?, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    eachBlock(x, importance, .xxs, bytes: 98, &writer, &out) { groups, writer, out in
      let largest = largestScale(groups)
      guard largest != 0 else {
        for _ in 0..<98 { writer.put(0 as UInt8, &out) }
        return
      }
      writer.put(Half.bits(computed: largest / 31 * 1.0125), &out)
      for group in 0..<8 {
        for four in 0..<8 { writer.put(UInt8(groups[group].entries[four]), &out) }
      }
      for group in 0..<8 {
        var word = scaleCode(groups[group].scale, largest) << 28
        // The eighth sign follows from the others.
        for eight in 0..<4 { word |= UInt32(groups[group].signs[eight] & 127) << UInt32(7 * eight) }
        writer.put(word, &out)
      }
    }
  }

  static func quantizeS(
    _ x: Span<Float>, importance: Span<Float>?, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    eachBlock(x, importance, .s, bytes: 110, &writer, &out) { groups, writer, out in
      let largest = largestScale(groups)
      writer.put(largest != 0 ? Half.bits(computed: largest / 31 * 1.033) : 0, &out)
      // After a group of zeros ggml does not move on: what follows is stored a group too early, though the ninth bits are
      // not, and the last group stays zero.
      let stored = (0..<8).filter { groups[$0].isStored }
      for group in stored {
        for four in 0..<8 { writer.put(UInt8(groups[group].entries[four] & 255), &out) }
      }
      for _ in 0..<8 * (8 - stored.count) { writer.put(0 as UInt8, &out) }
      for group in 0..<8 {
        var ninth: UInt8 = 0
        for four in 0..<8 { ninth |= UInt8(groups[group].entries[four] >> 8) << UInt8(four) }
        writer.put(ninth, &out)
      }
      for group in stored {
        for eight in 0..<4 { writer.put(groups[group].signs[eight], &out) }
      }
      for _ in 0..<4 * (8 - stored.count) { writer.put(0 as UInt8, &out) }
      for pair in 0..<4 {
        let (low, high) = (groups[2 * pair].scale, groups[2 * pair + 1].scale)
        writer.put(UInt8(largest != 0 ? scaleCode(low, largest) | scaleCode(high, largest) << 4 : 0), &out)
      }
    }
  }

  private static func eachBlock(
    _ x: Span<Float>, _ importance: Span<Float>?, _ format: Grid4Search.Format, bytes: Int, _ writer: inout ByteWriter,
    _ out: inout MutableRawSpan,
    write: (borrowing InlineArray<8, Grid4Search.Group>, inout ByteWriter, inout MutableRawSpan) -> Void
  ) {
    for start in stride(from: 0, to: x.count, by: 256) {
      let values = x.extracting(start..<start + 256)
      let variance = ErrorWeights.variance(values, times: 2)
      var groups = InlineArray<8, Grid4Search.Group>(repeating: Grid4Search.Group())
      var isLost = false
      for group in 0..<8 {
        let range = group * 32..<group * 32 + 32
        var search = Grid4Search(
          values.extracting(range),
          importance: importance?.extracting(start + range.lowerBound..<start + range.upperBound), variance, format)
        groups[group] = search.result()
        isLost = isLost || search.isLost
      }
      if isLost {
        writer.put(0x7E00 as UInt16, &out)
        for _ in 2..<bytes { writer.put(0 as UInt8, &out) }
      } else {
        write(groups, &writer, &out)
      }
    }
  }

  private static func largestScale(_ groups: borrowing InlineArray<8, Grid4Search.Group>) -> Float {
    var largest: Float = 0
    for group in 0..<8 where groups[group].scale >= largest { largest = groups[group].scale }
    return largest
  }

  /// s of (2 s + 1) / 31, the fraction of the largest.
  private static func scaleCode(_ scale: Float, _ largest: Float) -> UInt32 {
    UInt32(Rounding.nearest(0.5 * (1 / (largest / 31) * scale - 1), in: 0...15))
  }
}

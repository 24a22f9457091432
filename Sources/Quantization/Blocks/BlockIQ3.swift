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
    GridBlocks.quantize(x, importance: importance, GridFormat.iq3_XXS, &writer, &out) { groups, largest, writer, out in
      guard largest != 0 else {
        for _ in 0..<98 { writer.put(0 as UInt8, &out) }
        return
      }
      writer.put(Half.bits(computed: largest / 31 * 1.0125), &out)
      for group in 0..<8 {
        for four in 0..<8 { writer.put(UInt8(groups[group].entries[four]), &out) }
      }
      for group in 0..<8 {
        var word = GridBlocks.scaleCode(groups[group].scale, of: largest) << 28
        // The eighth sign follows from the others.
        for eight in 0..<4 { word |= UInt32(groups[group].signs[eight] & 127) << UInt32(7 * eight) }
        writer.put(word, &out)
      }
    }
  }

  static func quantizeS(
    _ x: Span<Float>, importance: Span<Float>?, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    GridBlocks.quantize(x, importance: importance, GridFormat.iq3_S, &writer, &out) { groups, largest, writer, out in
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
        writer.put(GridBlocks.scaleCodes(of: groups, pair, largest), &out)
      }
    }
  }
}

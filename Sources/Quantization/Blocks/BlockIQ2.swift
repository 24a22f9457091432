import Tensors

/// IQ2_XXS, IQ2_XS and IQ2_S, an entry of a grid for each eight magnitudes, a sign each, and a four-bit scale for 32 or 16
/// weights: the bytes that `Grid8Blocks` reads (`quantize_row_iq2_*_impl` of ggml-quants.c, llama.cpp 0c1e57098).
///
/// Where an error is beyond all numbers, which takes enormous weights or importance, ggml aborts. Such a block is stored as
/// zeros with a scale that is NaN, so that it is refused as any other scale that overflowed.
enum BlockIQ2 {
  static func quantizeXXS(
    _ x: Span<Float>, importance: Span<Float>?, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    GridBlocks.quantize(x, importance: importance, GridFormat.iq2_XXS, &writer, &out, write: writeXXS)
  }

  static func quantizeXS(
    _ x: Span<Float>, importance: Span<Float>?, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    GridBlocks.quantize(x, importance: importance, GridFormat.iq2_XS, &writer, &out, write: writeXS)
  }

  static func quantizeS(
    _ x: Span<Float>, importance: Span<Float>?, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    GridBlocks.quantize(x, importance: importance, GridFormat.iq2_S, &writer, &out, write: writeS)
  }

  private static func writeXXS(
    _ groups: borrowing GridBlocks.Groups, _ largest: Float, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    writer.put(largest != 0 ? Half.bits(computed: largest / 31) : 0, &out)
    for group in 0..<8 {
      var (entries, word): (UInt32, UInt32) = (0, 0)
      if largest != 0 {
        word = GridBlocks.scaleCode(groups[group].scale, of: largest) << 28
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
    _ groups: borrowing GridBlocks.Groups, _ largest: Float, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
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
    _ groups: borrowing GridBlocks.Groups, _ largest: Float, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
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
    _ groups: borrowing GridBlocks.Groups, _ largest: Float, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    for pair in 0..<8 { writer.put(GridBlocks.scaleCodes(of: groups, pair, largest), &out) }
  }
}

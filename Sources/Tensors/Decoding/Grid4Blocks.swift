/// Super-blocks of 256 whose groups of four weights are entries of a grid, with a sign each: ggml-common.h and
/// `dequantize_row_iq3_*` of ggml-quants.c, llama.cpp 0c1e57098.
enum Grid4Blocks {
  /// 1. `d`, half; 2. `qs`, 64 bytes, an entry for each four weights; 3. for each 32 weights 32 bits: four times seven signs,
  /// of which an eighth follows because an even number is set, and a scale of four bits. w = ± d (s + 1/2) / 2 · value.
  static func iq3_XXS(_ b: RawSpan, _ at: Int, _ x: inout MutableSpan<Float>, _ to: Int) {
    let d = b.half(at)
    for group in 0..<8 {
      let word: UInt32 = b.word(at + 66 + 4 * group)
      let scale = d * (0.5 + Float(word >> 28)) * 0.5
      for eight in 0..<4 {
        let seven = UInt8(truncatingIfNeeded: word >> UInt32(7 * eight) & 127)
        let signs = seven | UInt8(seven.nonzeroBitCount & 1) << 7
        for half in 0..<2 {
          let entry = Int(b.byte(at + 2 + 8 * group + 2 * eight + half))
          values(Grid4.iq3_XXS, entry, scale, signs >> UInt8(4 * half), &x, to + 32 * group + 8 * eight + 4 * half)
        }
      }
    }
  }

  /// 1. `d`, half; 2. `qs`, 64 bytes, the lower eight bits of an entry for each four weights; 3. `qh`, 8 bytes, the ninth bits;
  /// 4. `signs`, 32 bytes; 5. `scales`, 4 bytes: of each 32 weights four bits, even ones in the low nibbles.
  /// w = ± d (2 s + 1) · value.
  static func iq3_S(_ b: RawSpan, _ at: Int, _ x: inout MutableSpan<Float>, _ to: Int) {
    let d = b.half(at)
    for group in 0..<8 {
      let stored = b.byte(at + 106 + group / 2) >> UInt8(group % 2 * 4) & 0xF
      let scale = d * Float(1 + 2 * Int32(stored))
      for four in 0..<8 {
        let ninth = Int(b.byte(at + 66 + group) >> UInt8(four) & 1)
        let signs = b.byte(at + 74 + 4 * group + four / 2) >> UInt8(four % 2 * 4)
        let entry = Int(b.byte(at + 2 + 8 * group + four)) | ninth << 8
        values(Grid4.iq3_S, entry, scale, signs, &x, to + 32 * group + 4 * four)
      }
    }
  }

  private static func values(
    _ grid: Grid4, _ entry: Int, _ scale: Float, _ signs: UInt8, _ x: inout MutableSpan<Float>, _ to: Int
  ) {
    for i in 0..<4 {
      let value = scale * Float(grid.values[4 * entry + i])
      x[to + i] = signs >> UInt8(i) & 1 == 1 ? -value : value
    }
  }
}

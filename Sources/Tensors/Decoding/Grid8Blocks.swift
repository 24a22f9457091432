/// Super-blocks of 256 whose groups of eight weights are entries of a grid: ggml-common.h and `dequantize_row_iq2_*`,
/// `dequantize_row_iq1_*` of ggml-quants.c, llama.cpp 0c1e57098.
enum Grid8Blocks {
  /// 1. `d`, half; 2. for each 32 weights four entries, a byte each, and 32 bits: four times seven signs, of which an eighth
  /// follows because an even number is set, and a scale of four bits. w = ± d (s + 1/2) / 4 · value.
  static func iq2_XXS(_ b: RawSpan, _ at: Int, _ x: inout MutableSpan<Float>, _ to: Int) {
    let d = b.half(at)
    for group in 0..<8 {
      let word: UInt32 = b.word(at + 2 + 8 * group + 4)
      let scale = d * (0.5 + Float(word >> 28)) * 0.25
      for eight in 0..<4 {
        let signs = evenSigns(UInt8(truncatingIfNeeded: word >> UInt32(7 * eight) & 127))
        signed(.iq2_XXS, Int(b.byte(at + 2 + 8 * group + eight)), scale, signs, &x, to + 32 * group + 8 * eight)
      }
    }
  }

  /// 1. `d`, half; 2. `qs`, for each eight weights 16 bits: an entry of nine bits and seven signs as above; 3. `scales`, 8
  /// bytes: of each 16 weights four bits, even ones in the low nibbles. w = ± d (s + 1/2) / 4 · value.
  static func iq2_XS(_ b: RawSpan, _ at: Int, _ x: inout MutableSpan<Float>, _ to: Int) {
    let d = b.half(at)
    for eight in 0..<32 {
      let word: UInt16 = b.word(at + 2 + 2 * eight)
      let scale = d * (0.5 + Float(b.byte(at + 66 + eight / 4) >> UInt8(eight % 4 / 2 * 4) & 0xF)) * 0.25
      signed(.iq2_XS, Int(word & 511), scale, evenSigns(UInt8(word >> 9)), &x, to + 8 * eight)
    }
  }

  /// 1. `d`, half; 2. `qs`, 32 bytes, the lower eight bits of an entry for each eight weights; 3. `signs`, 32 bytes;
  /// 4. `qh`, 8 bytes: the upper two bits of the entries, four to a byte; 5. `scales` as in IQ2_XS.
  static func iq2_S(_ b: RawSpan, _ at: Int, _ x: inout MutableSpan<Float>, _ to: Int) {
    let d = b.half(at)
    for eight in 0..<32 {
      let high = Int(b.byte(at + 66 + eight / 4) >> UInt8(eight % 4 * 2) & 3)
      let scale = d * (0.5 + Float(b.byte(at + 74 + eight / 4) >> UInt8(eight % 4 / 2 * 4) & 0xF)) * 0.25
      signed(
        .iq2_S, Int(b.byte(at + 2 + eight)) | high << 8, scale, b.byte(at + 34 + eight), &x, to + 8 * eight)
    }
  }

  /// 1. `d`, half; 2. `qs`, 32 bytes, the lower eight bits of an entry for each eight weights; 3. `qh`, for each 32 weights
  /// 16 bits: the upper three bits of four entries, a scale of three bits, and whether all levels are shifted down by an
  /// eighth, not up. w = d (2 s + 1) (level − 1 ± 1/8).
  static func iq1_S(_ b: RawSpan, _ at: Int, _ x: inout MutableSpan<Float>, _ to: Int) {
    let d = b.half(at)
    for group in 0..<8 {
      let high: UInt16 = b.word(at + 34 + 2 * group)
      let scale = d * Float(2 * Int32(high >> 12 & 7) + 1)
      for eight in 0..<4 {
        let entry = Int(b.byte(at + 2 + 4 * group + eight)) | Int(high >> UInt16(3 * eight) & 7) << 8
        shifted(entry, scale, down: high & 0x8000 != 0, &x, to + 32 * group + 8 * eight)
      }
    }
  }

  /// 1. `qs`, 32 bytes, the lower eight bits of an entry for each eight weights; 2. `qh`, 16 bytes, for each eight weights a
  /// nibble: the upper three bits and the shift; 3. `scales`, four words: of each 16 weights three bits, and in the upper
  /// nibbles the half `d`. w = d (2 s + 1) (level − 1 ± 1/8).
  static func iq1_M(_ b: RawSpan, _ at: Int, _ x: inout MutableSpan<Float>, _ to: Int) {
    func word(_ i: Int) -> UInt16 { b.word(at + 48 + 2 * i) }
    let d = Half.float(word(0) >> 12 | word(1) >> 8 & 0x00F0 | word(2) >> 4 & 0x0F00 | word(3) & 0xF000)
    for eight in 0..<32 {
      let scale = d * Float(2 * Int32(word(eight / 8) >> UInt16(eight % 8 / 2 * 3) & 7) + 1)
      let nibble = b.byte(at + 32 + eight / 2) >> UInt8(eight % 2 * 4) & 0xF
      shifted(
        Int(b.byte(at + eight)) | Int(nibble & 7) << 8, scale, down: nibble & 8 != 0, &x, to + 8 * eight)
    }
  }

  /// Seven signs and the one that makes them an even number.
  private static func evenSigns(_ seven: UInt8) -> UInt8 { seven | UInt8(seven.nonzeroBitCount & 1) << 7 }

  /// What the levels of the IQ2 formats mean.
  private static let values: InlineArray<3, Float> = [8, 25, 43]

  private static func signed(
    _ grid: Grid8, _ entry: Int, _ scale: Float, _ signs: UInt8, _ x: inout MutableSpan<Float>, _ to: Int
  ) {
    let code = grid.codes[entry]
    for i in 0..<8 {
      let value = scale * values[Int(code >> UInt16(2 * i) & 3)]
      x[to + i] = signs >> UInt8(i) & 1 == 1 ? -value : value
    }
  }

  private static func shifted(
    _ entry: Int, _ scale: Float, down: Bool, _ x: inout MutableSpan<Float>, _ to: Int
  ) {
    let code = Grid8.iq1.codes[entry]
    for i in 0..<8 {
      x[to + i] = scale * (Float(Int32(code >> UInt16(2 * i) & 3) - 1) + (down ? -0.125 : 0.125))
    }
  }
}

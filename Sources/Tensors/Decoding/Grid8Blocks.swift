/// Super-blocks of 256 whose weights are taken from a grid, eight at once: ggml-common.h and `dequantize_row_iq2_*`,
/// `dequantize_row_iq1_*` of ggml-quants.c, llama.cpp 0c1e57098.
enum Grid8Blocks {
  /// 1. `d`; 2. `qs`, 64 bytes: for 32 weights four grid indices of 8 bits, then a word with four times 7 signs and, uppermost, a
  /// 4-bit scale. w = d (scale + 1/2) / 4 · g, g = 8, 25 or 43.
  static func iq2_XXS(_ b: RawSpan, _ at: Int, _ x: inout MutableSpan<Float>, _ to: Int) {
    let d = b.half(at)
    for group in 0..<8 {
      let rest: UInt32 = b.word(at + 2 + 8 * group + 4)
      let scale = quarter(d, UInt8(rest >> 28))
      for l in 0..<4 {
        let code = Grid8.iq2_XXS.code(at: Int(b.byte(at + 2 + 8 * group + l)))
        put(code, scale, signs(UInt8(truncatingIfNeeded: rest >> UInt32(7 * l)) & 127), &x, to + 32 * group + 8 * l)
      }
    }
  }

  /// 1. `d`; 2. `qs`, 32 words: 9 bits of grid index, 7 signs; 3. `scales`, 8 bytes: of each 32 weights the scale of the first
  /// half in the low nibble. w as in IQ2_XXS.
  static func iq2_XS(_ b: RawSpan, _ at: Int, _ x: inout MutableSpan<Float>, _ to: Int) {
    let d = b.half(at)
    for l in 0..<32 {
      let word: UInt16 = b.word(at + 2 + 2 * l)
      let scale = quarter(d, b.byte(at + 66 + l / 4) >> UInt8(l % 4 / 2 * 4) & 0xF)
      put(Grid8.iq2_XS.code(at: Int(word & 511)), scale, signs(UInt8(word >> 9)), &x, to + 8 * l)
    }
  }

  /// 1. `d`; 2. `qs`, 32 bytes of grid index, then 32 bytes of signs; 3. `qh`, 8 bytes: two more bits of four indices; 4. `scales`,
  /// 8 bytes as in IQ2_XS. w as in IQ2_XXS.
  static func iq2_S(_ b: RawSpan, _ at: Int, _ x: inout MutableSpan<Float>, _ to: Int) {
    let d = b.half(at)
    for l in 0..<32 {
      let high = Int(b.byte(at + 66 + l / 4) >> UInt8(2 * (l % 4)) & 3)
      let scale = quarter(d, b.byte(at + 74 + l / 4) >> UInt8(l % 4 / 2 * 4) & 0xF)
      put(Grid8.iq2_S.code(at: Int(b.byte(at + 2 + l)) | high << 8), scale, b.byte(at + 34 + l), &x, to + 8 * l)
    }
  }

  /// 1. `d`; 2. `qs`, 32 bytes of grid index; 3. `qh`, 8 words: three more bits of four indices, a 3-bit scale, and the sign of the
  /// shift. w = d (2 scale + 1) (g ± 1/8), g = −1, 0 or 1.
  static func iq1_S(_ b: RawSpan, _ at: Int, _ x: inout MutableSpan<Float>, _ to: Int) {
    let d = b.half(at)
    for l in 0..<32 {
      let word: UInt16 = b.word(at + 34 + 2 * (l / 4))
      let scale = d * Float(2 * (word >> 12 & 7) + 1)
      let high = Int(word >> UInt16(3 * (l % 4)) & 7)
      put(Int(b.byte(at + 2 + l)) | high << 8, scale, word & 0x8000 != 0, &x, to + 8 * l)
    }
  }

  /// 1. `qs`, 32 bytes of grid index; 2. `qh`, 16 bytes, a nibble for each index: three more bits of it and the sign of the shift;
  /// 3. `scales`, four words: four 3-bit scales of 16 weights each, and uppermost a nibble of d. w as in IQ1_S.
  static func iq1_M(_ b: RawSpan, _ at: Int, _ x: inout MutableSpan<Float>, _ to: Int) {
    var bits: UInt16 = 0
    for j in 0..<4 { bits |= ((b.word(at + 48 + 2 * j) as UInt16) >> 12) << UInt16(4 * j) }
    let d = Half.float(bits)
    for l in 0..<32 {
      let scales: UInt16 = b.word(at + 48 + 2 * (l / 8))
      let scale = d * Float(2 * (scales >> UInt16(3 * (l % 8 / 2)) & 7) + 1)
      let nibble = Int(b.byte(at + 32 + l / 2) >> UInt8(4 * (l % 2)))
      put(Int(b.byte(at + l)) | (nibble & 7) << 8, scale, nibble & 8 != 0, &x, to + 8 * l)
    }
  }

  private static func quarter(_ d: Float, _ scale: UInt8) -> Float { d * (0.5 + Float(scale)) * 0.25 }

  /// Eight signs, of which seven are stored: the number of negative ones is even.
  private static func signs(_ seven: UInt8) -> UInt8 { seven | UInt8(seven.nonzeroBitCount % 2) << 7 }

  /// Eight weights of IQ2; a bit of `signs` is set where one is negative.
  private static func put(_ code: UInt16, _ scale: Float, _ signs: UInt8, _ x: inout MutableSpan<Float>, _ to: Int) {
    for i in 0..<8 {
      let value: Float =
        switch code >> UInt16(2 * i) & 3 {
        case 0: 8
        case 1: 25
        default: 43
        }
      x[to + i] = signs >> UInt8(i) & 1 == 1 ? scale * value * -1 : scale * value
    }
  }

  /// Eight weights of IQ1.
  private static func put(
    _ index: Int, _ scale: Float, _ isShiftedDown: Bool, _ x: inout MutableSpan<Float>, _ to: Int
  ) {
    let code = Grid8.iq1.code(at: index)
    for i in 0..<8 {
      let value = Float(Int32(code >> UInt16(2 * i) & 3) - 1)
      x[to + i] = scale * (value + (isShiftedDown ? -0.125 : 0.125))
    }
  }
}

/// Blocks of 32 with one scale: ggml-common.h and `dequantize_row_*` of ggml-quants.c, llama.cpp 0c1e57098.
///
/// Element j of the first half of a block is in the low nibble of byte j, element j + 16 in the high one.
enum LegacyBlocks {
  /// 1. `d`, half; 2. `qs`, 16 bytes of nibbles. w = d (q − 8).
  static func q4_0(_ b: RawSpan, _ at: Int, _ x: inout MutableSpan<Float>, _ to: Int) {
    let d = b.half(at)
    for j in 0..<16 {
      let q = b.byte(at + 2 + j)
      x[to + j] = Float(Int32(q & 0xF) - 8) * d
      x[to + j + 16] = Float(Int32(q >> 4) - 8) * d
    }
  }

  /// 1. `d`, half; 2. `m`, half; 3. `qs`. w = d q + m.
  static func q4_1(_ b: RawSpan, _ at: Int, _ x: inout MutableSpan<Float>, _ to: Int) {
    let (d, m) = (b.half(at), b.half(at + 2))
    for j in 0..<16 {
      let q = b.byte(at + 4 + j)
      x[to + j] = Float(q & 0xF) * d + m
      x[to + j + 16] = Float(q >> 4) * d + m
    }
  }

  /// 1. `d`, half; 2. `qh`, 32 bits, the fifth bit of element j at bit j; 3. `qs`. w = d (q − 16).
  static func q5_0(_ b: RawSpan, _ at: Int, _ x: inout MutableSpan<Float>, _ to: Int) {
    let d = b.half(at)
    let qh: UInt32 = b.word(at + 2)
    for j in 0..<16 {
      let q = UInt32(b.byte(at + 6 + j))
      x[to + j] = Float(Int32(q & 0xF | (qh >> UInt32(j) & 1) << 4) - 16) * d
      x[to + j + 16] = Float(Int32(q >> 4 | (qh >> UInt32(j + 16) & 1) << 4) - 16) * d
    }
  }

  /// 1. `d`, half; 2. `m`, half; 3. `qh`; 4. `qs`. w = d q + m.
  static func q5_1(_ b: RawSpan, _ at: Int, _ x: inout MutableSpan<Float>, _ to: Int) {
    let (d, m) = (b.half(at), b.half(at + 2))
    let qh: UInt32 = b.word(at + 4)
    for j in 0..<16 {
      let q = UInt32(b.byte(at + 8 + j))
      x[to + j] = Float(q & 0xF | (qh >> UInt32(j) & 1) << 4) * d + m
      x[to + j + 16] = Float(q >> 4 | (qh >> UInt32(j + 16) & 1) << 4) * d + m
    }
  }

  /// 1. `d`, half; 2. `qs`, 32 signed bytes. w = d q.
  static func q8_0(_ b: RawSpan, _ at: Int, _ x: inout MutableSpan<Float>, _ to: Int) {
    let d = b.half(at)
    for j in 0..<32 { x[to + j] = Float(Int8(bitPattern: b.byte(at + 2 + j))) * d }
  }
}

/// Four bits a weight that stand for sixteen uneven levels: ggml-common.h and `dequantize_row_*` of ggml-quants.c, llama.cpp
/// 0c1e57098.
package enum NonlinearBlocks {
  /// What the codes 0 to 15 mean (`kvalues_iq4nl`): denser around zero, where the weights are.
  package static let levels: InlineArray<16, Int8> = [
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
  ]

  /// 1. `d`, half; 2. `qs`, 16 bytes: element j in the low nibble of byte j, element j + 16 in the high one.
  /// w = d levels[q].
  static func iq4_NL(_ b: RawSpan, _ at: Int, _ x: inout MutableSpan<Float>, _ to: Int) {
    values(b, at + 2, scale: b.half(at), &x, to)
  }

  /// 1. `d`, half; 2. `scales_h`, 16 bits: the upper two bits of the scale of group g at bit 2 g; 3. `scales_l`, 4 bytes: the
  /// lower four bits, even groups in the low nibbles; 4. `qs`, 128 bytes: eight groups of 32 as in IQ4_NL.
  /// w = d (s − 32) levels[q].
  static func iq4_XS(_ b: RawSpan, _ at: Int, _ x: inout MutableSpan<Float>, _ to: Int) {
    let d = b.half(at)
    let high: UInt16 = b.word(at + 2)
    for group in 0..<8 {
      let low = b.byte(at + 4 + group / 2) >> UInt8(group % 2 * 4) & 0xF
      let scale = Int32(low) | Int32(high >> UInt16(2 * group) & 3) << 4
      values(b, at + 8 + 16 * group, scale: d * Float(scale - 32), &x, to + 32 * group)
    }
  }

  private static func values(_ b: RawSpan, _ qs: Int, scale: Float, _ x: inout MutableSpan<Float>, _ to: Int) {
    for j in 0..<16 {
      let q = b.byte(qs + j)
      x[to + j] = scale * Float(levels[Int(q & 0xF)])
      x[to + j + 16] = scale * Float(levels[Int(q >> 4)])
    }
  }
}

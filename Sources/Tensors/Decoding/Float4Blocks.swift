/// Four-bit floats, a sign, two bits of exponent and one of fraction (E2M1), of one scale: ggml-common.h, ggml-impl.h and
/// `dequantize_row_*` of ggml-quants.c, llama.cpp 0c1e57098.
package enum Float4Blocks {
  /// Twice what the codes 0 to 7 mean; 8 to 15 are their negatives. The scales are halves of what they stand for.
  package static let magnitudes: InlineArray<8, Int32> = [0, 1, 2, 3, 4, 6, 8, 12]

  /// 32 weights. 1. `e`, the exponent of the scale; 2. `qs`, 16 bytes: element j in the low nibble of byte j, element j + 16
  /// in the high one.
  static func mxfp4(_ b: RawSpan, _ at: Int, _ x: inout MutableSpan<Float>, _ to: Int) {
    values(b, at + 1, size: 32, scale: exponentScale(b.byte(at)), &x, to)
  }

  /// 64 weights. 1. `d`, 4 bytes, a scale for 16 weights each; 2. `qs`, 32 bytes: of 16 elements, element j in the low nibble
  /// of byte j, element j + 8 in the high one.
  static func nvfp4(_ b: RawSpan, _ at: Int, _ x: inout MutableSpan<Float>, _ to: Int) {
    for group in 0..<4 {
      values(b, at + 4 + 8 * group, size: 16, scale: fractionScale(b.byte(at + group)), &x, to + 16 * group)
    }
  }

  private static func values(
    _ b: RawSpan, _ qs: Int, size: Int, scale: Float, _ x: inout MutableSpan<Float>, _ to: Int
  ) {
    for j in 0..<size / 2 {
      let q = b.byte(qs + j)
      x[to + j] = Float(level(q & 0xF)) * scale
      x[to + j + size / 2] = Float(level(q >> 4)) * scale
    }
  }

  private static func level(_ code: UInt8) -> Int32 {
    let magnitude = magnitudes[Int(code & 7)]
    return code & 8 == 0 ? magnitude : -magnitude
  }

  /// Half of 2^(e − 127) (E8M0); 255, which is NaN by the OCP specification, means 2^127 here as in ggml.
  package static func exponentScale(_ e: UInt8) -> Float {
    // The lowest two are denormal.
    Float(bitPattern: e < 2 ? 0x0020_0000 << UInt32(e) : UInt32(e - 1) << 23)
  }

  /// Half of an unsigned float of four bits of exponent (bias 7) and three of fraction (UE4M3). The highest bit does not
  /// count; 0x7F, the NaN, means zero.
  package static func fractionScale(_ code: UInt8) -> Float {
    let (exponent, fraction) = (Int(code >> 3 & 0xF), Float(code & 7))
    if code == 0x7F { return 0 }
    if exponent == 0 { return fraction * 0x1p-10 }
    return (1 + fraction / 8) * Float(sign: .plus, exponent: exponent - 8, significand: 1)
  }
}

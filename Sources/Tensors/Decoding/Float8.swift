/// Eight-bit floats without infinities in E4M3 (OCP 8-bit floating point specification, 1.0).
public enum Float8 {
  /// 1 sign, 4 exponent (bias 7), 3 fraction bits; 0x7F and 0xFF are NaN, whose sign is kept and whose
  /// upper bits are those of 480, as in PyTorch.
  public static func e4m3(_ bits: UInt8) -> Float {
    let sign: Float = bits & 0x80 == 0 ? 1 : -1
    let exponent = Int(bits >> 3 & 0xF)
    let fraction = Float(bits & 7)
    if bits & 0x7F == 0x7F { return Float(bitPattern: UInt32(bits & 0x80) << 24 | 0x7FF0_0000) }
    if exponent == 0 { return sign * fraction * 0x1p-9 }
    return sign * (1 + fraction / 8) * Float(sign: .plus, exponent: exponent - 7, significand: 1)
  }
}

/// IEEE binary16 as ggml stores it, by integer arithmetic: the same bits on every machine, also where the compiler has no
/// half type.
public enum Half {
  /// Round to nearest, ties to even; beyond 65,504 infinity; NaN becomes the quiet 0x7E00 with its sign, as in ggml.
  public static func bits(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    let sign = UInt16(truncatingIfNeeded: bits >> 16) & 0x8000
    let magnitude = bits & 0x7FFF_FFFF
    if magnitude > 0x7F80_0000 { return sign | 0x7E00 }
    if magnitude >= 0x477F_F000 { return sign | 0x7C00 }
    if magnitude >= 0x3880_0000 {
      let rebased = magnitude - 0x3800_0000
      return sign | UInt16((rebased + 0xFFF + (rebased >> 13 & 1)) >> 13)
    }
    // Below the smallest normal half: count units of 2^-24. The product is exact, so there is one rounding.
    let units = (Float(bitPattern: magnitude) * 16_777_216).rounded(.toNearestOrEven)
    return sign | UInt16(units)
  }

  /// The half of a scale that was computed. It is NaN where finite values overflow on the way; the sign of such a NaN differs
  /// between processors, and that of x86 is stored everywhere.
  public static func bits(computed value: Float) -> UInt16 {
    #if arch(arm64)
      if value.isNaN { return bits(value) ^ 0x8000 }
    #endif
    return bits(value)
  }

  /// A NaN keeps its sign and fraction and is made quiet, as processors do it.
  public static func float(_ bits: UInt16) -> Float {
    let sign = UInt32(bits & 0x8000) << 16
    let exponent = UInt32(bits >> 10) & 0x1F
    let fraction = UInt32(bits & 0x3FF)
    switch exponent {
    case 0:
      let units = Float(fraction) * 0x1p-24
      return Float(bitPattern: units.bitPattern | sign)
    case 31: return Float(bitPattern: sign | (fraction == 0 ? 0x7F80_0000 : 0x7FC0_0000) | fraction << 13)
    default: return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
    }
  }
}

/// The upper half of a binary32.
public enum BrainFloat {
  /// Round to nearest, ties to even; NaN keeps its upper bits and is made quiet, as in ggml.
  public static func bits(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    if bits & 0x7FFF_FFFF > 0x7F80_0000 { return UInt16(bits >> 16) | 64 }
    return UInt16((bits + 0x7FFF + (bits >> 16 & 1)) >> 16)
  }

  public static func float(_ bits: UInt16) -> Float { Float(bitPattern: UInt32(bits) << 16) }
}

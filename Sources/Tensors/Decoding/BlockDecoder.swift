/// Stored elements -> numbers: what the bytes of each type mean.
///
/// `decodeReference` is the definition, in plain Swift; `decode` gives the same bits and uses a kernel where there is one.
/// It is here and not with the quantizers because a forward pass needs it and must not see them.
public enum BlockDecoder {
  /// Decodes `x.count` elements.
  ///
  /// - Parameters:
  ///   - bytes: whole blocks of `type`, at least as many as `x` takes.
  ///   - x: a whole number of blocks.
  public static func decode(_ bytes: RawSpan, as type: DType, into x: inout MutableSpan<Float>) {
    if !Kernels.decode(bytes, as: type, into: &x) { decodeReference(bytes, as: type, into: &x) }
  }

  /// The definition of `decode`.
  public static func decodeReference(_ bytes: RawSpan, as type: DType, into x: inout MutableSpan<Float>) {
    precondition(x.count % type.blockElements == 0, "not whole blocks")
    precondition(bytes.byteCount / type.blockBytes >= x.count / type.blockElements, "too few bytes")
    let blocks = x.count / type.blockElements
    switch type {
    case .f64: for i in 0..<blocks { x[i] = Float(Double(bitPattern: bytes.word(8 * i))) }
    case .f32: for i in 0..<blocks { x[i] = Float(bitPattern: bytes.word(4 * i)) }
    case .f16: for i in 0..<blocks { x[i] = Half.float(bytes.word(2 * i)) }
    case .bf16: for i in 0..<blocks { x[i] = BrainFloat.float(bytes.word(2 * i)) }
    case .f8E4M3: for i in 0..<blocks { x[i] = Float8.e4m3(bytes.byte(i)) }
    case .f8E5M2: for i in 0..<blocks { x[i] = Half.float(UInt16(bytes.byte(i)) << 8) }
    case .q4_0: for i in 0..<blocks { LegacyBlocks.q4_0(bytes, 18 * i, &x, 32 * i) }
    case .q4_1: for i in 0..<blocks { LegacyBlocks.q4_1(bytes, 20 * i, &x, 32 * i) }
    case .q5_0: for i in 0..<blocks { LegacyBlocks.q5_0(bytes, 22 * i, &x, 32 * i) }
    case .q5_1: for i in 0..<blocks { LegacyBlocks.q5_1(bytes, 24 * i, &x, 32 * i) }
    case .q8_0: for i in 0..<blocks { LegacyBlocks.q8_0(bytes, 34 * i, &x, 32 * i) }
    case .q2_K: for i in 0..<blocks { KBlocks.q2_K(bytes, 84 * i, &x, 256 * i) }
    case .q3_K: for i in 0..<blocks { KBlocks.q3_K(bytes, 110 * i, &x, 256 * i) }
    case .q4_K: for i in 0..<blocks { KBlocks.q4_K(bytes, 144 * i, &x, 256 * i) }
    case .q5_K: for i in 0..<blocks { KBlocks.q5_K(bytes, 176 * i, &x, 256 * i) }
    case .q6_K: for i in 0..<blocks { KBlocks.q6_K(bytes, 210 * i, &x, 256 * i) }
    case .iq3_XXS: for i in 0..<blocks { Grid4Blocks.iq3_XXS(bytes, 98 * i, &x, 256 * i) }
    case .iq3_S: for i in 0..<blocks { Grid4Blocks.iq3_S(bytes, 110 * i, &x, 256 * i) }
    case .iq4_NL: for i in 0..<blocks { NonlinearBlocks.iq4_NL(bytes, 18 * i, &x, 32 * i) }
    case .iq4_XS: for i in 0..<blocks { NonlinearBlocks.iq4_XS(bytes, 136 * i, &x, 256 * i) }
    case .iq2_XXS: for i in 0..<blocks { Grid8Blocks.iq2_XXS(bytes, 66 * i, &x, 256 * i) }
    case .iq2_XS: for i in 0..<blocks { Grid8Blocks.iq2_XS(bytes, 74 * i, &x, 256 * i) }
    case .iq2_S: for i in 0..<blocks { Grid8Blocks.iq2_S(bytes, 82 * i, &x, 256 * i) }
    case .iq1_S: for i in 0..<blocks { Grid8Blocks.iq1_S(bytes, 50 * i, &x, 256 * i) }
    case .iq1_M: for i in 0..<blocks { Grid8Blocks.iq1_M(bytes, 56 * i, &x, 256 * i) }
    case .tq1_0: for i in 0..<blocks { TernaryBlocks.tq1_0(bytes, 54 * i, &x, 256 * i) }
    case .tq2_0: for i in 0..<blocks { TernaryBlocks.tq2_0(bytes, 66 * i, &x, 256 * i) }
    case .q2_0: for i in 0..<blocks { TernaryBlocks.q2_0(bytes, 18 * i, &x, 64 * i) }
    case .q1_0: for i in 0..<blocks { TernaryBlocks.q1_0(bytes, 18 * i, &x, 128 * i) }
    case .mxfp4: for i in 0..<blocks { Float4Blocks.mxfp4(bytes, 17 * i, &x, 32 * i) }
    case .nvfp4: for i in 0..<blocks { Float4Blocks.nvfp4(bytes, 36 * i, &x, 64 * i) }
    default: preconditionFailure("\(type) has no decoder; ask `supports` first")
    }
  }

  /// Whether `decode` knows `type`.
  public static func supports(_ type: DType) -> Bool {
    switch type {
    case .f64, .f32, .f16, .bf16, .f8E4M3, .f8E5M2, .q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .q2_K, .q3_K, .q4_K, .q5_K,
      .q6_K:
      true
    case .iq2_XXS, .iq2_XS, .iq2_S, .iq1_S, .iq1_M, .iq3_XXS, .iq3_S: true
    case .iq4_NL, .iq4_XS, .tq1_0, .tq2_0, .q2_0, .q1_0, .mxfp4, .nvfp4: true
    default: false
    }
  }
}

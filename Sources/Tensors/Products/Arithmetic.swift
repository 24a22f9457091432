import CKernels

/// What products of matrices are computed in.
public enum Arithmetic: String, CaseIterable, Sendable {
  /// Binary32 with fused multiply-adds.
  case f32
  /// Factors rounded to BF16, eight bits of precision, and added in binary32: twice as fast where the processor has
  /// instructions for it (`isFast`), for quick looks.
  case bf16

  /// Whether this machine computes in it at full speed. BF16 without instructions takes several times as long as F32.
  public var isFast: Bool { self == .f32 || quern_products_have_bf16() }

  /// Values of a row of factors in a word of a panel.
  var valuesPerWord: Int { self == .f32 ? 1 : 2 }

  var kernelName: quern_arithmetic {
    self == .f32 ? QUERN_ARITHMETIC_F32 : QUERN_ARITHMETIC_BF16
  }
}

/// The roundings of ggml's quantizers, which are part of the formats' definitions.
enum Rounding {
  /// Below this a group counts as zero (`GROUP_MAX_EPS`).
  static let groupEpsilon: Float = 1e-15

  /// To the nearest integer, ties to even, by adding 1.5 · 2^23 and reading the fraction: exact up to 2^22, and beyond it a
  /// wrong but certain integer, which is then clamped or wrapped.
  @inline(__always)
  static func nearest(_ value: Float) -> Int32 {
    Int32(bitPattern: (value + 12_582_912).bitPattern & 0x7F_FFFF) - 0x40_0000
  }

  /// `nearest`, clamped.
  @inline(__always)
  static func nearest(_ value: Float, in range: ClosedRange<Int32>) -> Int32 {
    min(max(nearest(value), range.lowerBound), range.upperBound)
  }

  /// Toward zero, to the low eight bits, as x86 converts: what does not fit 32 bits gives 0.
  @inline(__always)
  static func truncated(_ value: Float) -> Int8 {
    value.magnitude < 0x1p31 ? Int8(truncatingIfNeeded: Int32(value)) : 0
  }
}

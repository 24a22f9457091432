extension RawSpan {
  /// The byte at `offset`.
  @inline(__always)
  func byte(_ offset: Int) -> UInt8 { unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self) }

  /// The little-endian word at `offset`, aligned or not.
  @inline(__always)
  func word<T: FixedWidthInteger & BitwiseCopyable>(_ offset: Int) -> T {
    T(littleEndian: unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: T.self))
  }

  /// The half at `offset`, as a float.
  @inline(__always)
  func half(_ offset: Int) -> Float { Half.float(word(offset)) }
}

package import Tensors

/// The scales of a block as they are stored: `scale = d · codes[group]`, `offset = dmin · minimums[group]`.
///
/// Blocks of 32 have one group, whose codes are 1; the minimum of Q4_1 and Q5_1 is stored with the other sign.
package struct BlockScales {
  package var d: Float
  package var dmin: Float
  package var codes = InlineArray<16, Int32>(repeating: 1)
  package var minimums = InlineArray<16, Int32>(repeating: 1)

  package func scale(_ group: Int) -> Float { d * Float(codes[group]) }
  package func offset(_ group: Int) -> Float { dmin * Float(minimums[group]) }

  /// The codes that can be stored; `nil` where there is nothing but `d`.
  package static func codeRange(_ type: DType) -> ClosedRange<Int32>? {
    switch type {
    case .q2_K: 0...15
    case .q4_K, .q5_K: 0...63
    case .q3_K, .iq4_XS: -32...31
    case .q6_K: -128...127
    default: nil
    }
  }

  package init(d: Float, dmin: Float) { (self.d, self.dmin) = (d, dmin) }

  /// Reads those of the block at `at`.
  package init(_ block: RawSpan, at: Int, type: DType) {
    func byte(_ offset: Int) -> UInt8 { unsafe block.unsafeLoad(fromByteOffset: at + offset, as: UInt8.self) }
    func half(_ offset: Int) -> Float { Half.float(UInt16(byte(offset)) | UInt16(byte(offset + 1)) << 8) }
    (d, dmin) = (0, 0)
    switch type {
    case .q4_1, .q5_1: (d, dmin) = (half(0), -half(2))
    case .q2_K:
      (d, dmin) = (half(80), half(82))
      for group in 0..<16 { (codes[group], minimums[group]) = (Int32(byte(group) & 0xF), Int32(byte(group) >> 4)) }
    case .q3_K:
      d = half(108)
      for group in 0..<16 {
        let low = byte(96 + group % 8) >> UInt8(group / 8 * 4) & 0xF
        let high = byte(104 + group % 4) >> UInt8(group / 4 * 2) & 3
        codes[group] = Int32(low | high << 4) - 32
      }
    case .q4_K, .q5_K:
      (d, dmin) = (half(0), half(2))
      for j in 0..<4 {
        (codes[j], minimums[j]) = (Int32(byte(4 + j) & 63), Int32(byte(8 + j) & 63))
        codes[j + 4] = Int32(byte(12 + j) & 0xF | (byte(4 + j) >> 6) << 4)
        minimums[j + 4] = Int32(byte(12 + j) >> 4 | (byte(8 + j) >> 6) << 4)
      }
    case .q6_K:
      d = half(208)
      for group in 0..<16 { codes[group] = Int32(Int8(bitPattern: byte(192 + group))) }
    case .iq4_XS:
      d = half(0)
      for group in 0..<8 {
        let low = byte(4 + group / 2) >> UInt8(group % 2 * 4) & 0xF
        let high = byte(2 + group / 4) >> UInt8(group % 4 * 2) & 3
        codes[group] = Int32(low | high << 4) - 32
      }
    default: d = half(0)
    }
  }

  /// Writes them; `d` and `dmin` must be halves, the codes in range. Other bytes of the block stay.
  package func store(into block: inout MutableRawSpan, at: Int, type: DType) {
    func put(_ value: UInt8, _ offset: Int) { block.storeBytes(of: value, toByteOffset: at + offset, as: UInt8.self) }
    func put(half value: Float, _ offset: Int) {
      let bits = Half.bits(value)
      put(UInt8(truncatingIfNeeded: bits), offset)
      put(UInt8(bits >> 8), offset + 1)
    }
    func bits(_ value: Int32) -> UInt8 { UInt8(truncatingIfNeeded: value) }
    // Six bits from −32 up.
    func code(_ group: Int) -> UInt8 { bits(codes[group] + 32) }
    switch type {
    case .q4_1, .q5_1:
      put(half: d, 0)
      put(half: -dmin, 2)
    case .q2_K:
      for group in 0..<16 { put(bits(codes[group]) | bits(minimums[group]) << 4, group) }
      put(half: d, 80)
      put(half: dmin, 82)
    case .q3_K:
      for j in 0..<8 { put(code(j) & 0xF | code(j + 8) << 4, 96 + j) }
      for j in 0..<4 { put((0..<4).reduce(0) { $0 | (code(j + 4 * $1) >> 4) << UInt8(2 * $1) }, 104 + j) }
      put(half: d, 108)
    case .q4_K, .q5_K:
      put(half: d, 0)
      put(half: dmin, 2)
      for j in 0..<4 {
        put(bits(codes[j]) | (bits(codes[j + 4]) >> 4) << 6, 4 + j)
        put(bits(minimums[j]) | (bits(minimums[j + 4]) >> 4) << 6, 8 + j)
        put(bits(codes[j + 4]) & 0xF | bits(minimums[j + 4]) << 4, 12 + j)
      }
    case .q6_K:
      for group in 0..<16 { put(bits(codes[group]), 192 + group) }
      put(half: d, 208)
    case .iq4_XS:
      put(half: d, 0)
      for j in 0..<2 { put((0..<4).reduce(0) { $0 | (code(4 * j + $1) >> 4) << UInt8(2 * $1) }, 2 + j) }
      for j in 0..<4 { put(code(2 * j) & 0xF | code(2 * j + 1) << 4, 4 + j) }
    default: put(half: d, 0)
    }
  }
}

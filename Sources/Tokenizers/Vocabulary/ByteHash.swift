/// A fast hash of short byte strings: 64-bit products folded to 64 bits, as in wyhash (Wang Yi 2019).
///
/// Seeded anew in every process, so that no file can be made whose tokens all collide. Nothing that is written depends on
/// it.
enum ByteHash {
  private static let seed = UInt64.random(in: .min ... .max)

  /// One value for all tables, read once by each.
  static var currentSeed: UInt64 { seed }

  @inline(__always)
  static func mix(_ a: UInt64, _ b: UInt64) -> UInt64 {
    let product = a.multipliedFullWidth(by: b)
    return product.high ^ product.low
  }

  /// - Parameter range: inside `bytes`, which the subscripts check.
  @inline(__always)
  static func hash(_ bytes: Span<UInt8>, _ start: Int, _ end: Int, seed: UInt64) -> UInt64 {
    var value = seed ^ UInt64(truncatingIfNeeded: end - start)
    var index = start
    while index + 8 <= end {
      value = mix(value ^ word(bytes, index), 0xE703_7ED1_A0B4_28DB)
      index += 8
    }
    if index < end {
      var tail: UInt64 = 0
      while index < end {
        tail = tail << 8 | UInt64(bytes[index])
        index += 1
      }
      value = mix(value ^ tail, 0x8EBC_6AF0_9C88_C6E3)
    }
    return mix(value ^ 0x5899_65CC_7537_4CC3, 0x1D8E_4E27_C47D_124F)
  }

  @inline(__always)
  private static func word(_ bytes: Span<UInt8>, _ index: Int) -> UInt64 {
    // The last byte is inside, so all eight are.
    precondition(index >= 0 && index + 8 <= bytes.count)
    return unsafe bytes.bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: UInt64.self)
  }
}

/// A fast hash of short byte strings: 64-bit products folded to 64 bits, as in wyhash (Wang Yi 2019).
///
/// Seeded anew in every process, so that no file can be made whose tokens all collide. Nothing that is written depends on
/// it.
public enum ByteHash {
  private static let seed = UInt64.random(in: .min ... .max)

  /// One value for all tables, read once by each.
  public static var currentSeed: UInt64 { seed }

  @inlinable @inline(__always)
  public static func mix(_ a: UInt64, _ b: UInt64) -> UInt64 {
    let product = a.multipliedFullWidth(by: b)
    return product.high ^ product.low
  }

  /// - Parameter range: inside `bytes`, which the loads check.
  @inlinable @inline(__always)
  public static func hash(_ bytes: Span<UInt8>, _ start: Int, _ end: Int, seed: UInt64) -> UInt64 {
    let count = end - start
    var value = seed ^ UInt64(truncatingIfNeeded: count)
    var index = start
    while index + 8 < end {
      value = mix(value ^ ByteWords.word(bytes, index), 0xE703_7ED1_A0B4_28DB)
      index += 8
    }
    let tail = count >= 8 ? ByteWords.word(bytes, end - 8) : ByteWords.short(bytes, start, count)
    value = mix(value ^ tail, 0x8EBC_6AF0_9C88_C6E3)
    return mix(value ^ 0x5899_65CC_7537_4CC3, 0x1D8E_4E27_C47D_124F)
  }

  /// Of two words.
  @inlinable @inline(__always)
  public static func hash(_ low: UInt64, _ high: UInt64, seed: UInt64) -> UInt64 {
    mix(mix(low ^ seed, 0xE703_7ED1_A0B4_28DB) ^ high, 0x8EBC_6AF0_9C88_C6E3)
  }
}

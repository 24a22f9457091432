import Bytes

/// What a text is looked up by in a `Vocabulary`: a short one is its own key, so that nothing else need be read.
struct TokenKey {
  /// The first eight bytes of a short text; the hash of a longer one.
  let low: UInt64
  /// From bit 32 on the ninth to twelfth byte of a short text, the length of a longer one; from bit 24 on the length of a
  /// short text, or 15. Below, where a slot has its id, zeros.
  let high: UInt64
  let hash: UInt64

  /// Bytes of a text that is short.
  static let shortCount = 12
  private static let long: UInt64 = 15

  /// The text `bytes[start..<end]`.
  @inline(__always)
  init(_ bytes: Span<UInt8>, _ start: Int, _ end: Int, seed: UInt64) {
    let count = end - start
    if count > TokenKey.shortCount {
      hash = ByteHash.hash(bytes, start, end, seed: seed)
      low = hash
      high = UInt64(truncatingIfNeeded: count) << 32 | TokenKey.long << 24
    } else {
      let length = UInt64(truncatingIfNeeded: count) << 24
      if count > 8 {
        low = ByteWords.word(bytes, start)
        let rest = ByteWords.half(bytes, end - 4) >> UInt64(8 * (TokenKey.shortCount - count))
        high = rest << 32 | length
      } else {
        low = count == 8 ? ByteWords.word(bytes, start) : ByteWords.short(bytes, start, count)
        high = length
      }
      hash = ByteHash.hash(low, high, seed: seed)
    }
  }

  /// Whether equal keys are equal texts.
  @inline(__always)
  var isWhole: Bool { high >> 24 & 15 != TokenKey.long }
}

/// A place of a vocabulary's table: a key and, in its lowest bits, the id plus one.
struct TokenSlot {
  private var low: UInt64 = 0
  private var high: UInt64 = 0

  private static let idMask: UInt64 = 0xFF_FFFF

  init() {}

  /// - Parameter id: below `Limits.tokens`, which leaves it room.
  @inline(__always)
  init(_ key: TokenKey, id: Int) {
    low = key.low
    high = key.high | UInt64(truncatingIfNeeded: id + 1) & TokenSlot.idMask
  }

  @inline(__always)
  var isFree: Bool { high & TokenSlot.idMask == 0 }

  @inline(__always)
  var id: Int { Int(truncatingIfNeeded: high & TokenSlot.idMask) - 1 }

  @inline(__always)
  func matches(_ key: TokenKey) -> Bool { low == key.low && high & ~TokenSlot.idMask == key.high }
}

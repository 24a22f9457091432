/// Short byte strings read and compared in whole words.
public enum ByteWords {
  /// The eight bytes from `index` on, the first the lowest.
  /// - Parameter index: at least eight bytes before the end, which is checked.
  @inlinable @inline(__always)
  public static func word(_ bytes: Span<UInt8>, _ index: Int) -> UInt64 {
    // The last byte is inside, so all eight are.
    precondition(index >= 0 && index + 8 <= bytes.count)
    return UInt64(
      littleEndian: unsafe bytes.bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: UInt64.self))
  }

  /// The same of four bytes.
  @inlinable @inline(__always)
  public static func half(_ bytes: Span<UInt8>, _ index: Int) -> UInt64 {
    precondition(index >= 0 && index + 4 <= bytes.count)
    return UInt64(
      UInt32(littleEndian: unsafe bytes.bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: UInt32.self)))
  }

  /// `count` bytes, at most eight, zeros above them. Loads overlap where the count is no power of two.
  @inlinable @inline(__always)
  public static func short(_ bytes: Span<UInt8>, _ start: Int, _ count: Int) -> UInt64 {
    if count >= 4 { return half(bytes, start) | half(bytes, start + count - 4) << UInt64(8 * (count - 4)) }
    if count == 0 { return 0 }
    let middle = count / 2
    return UInt64(bytes[start]) | UInt64(bytes[start + middle]) << UInt64(8 * middle)
      | UInt64(bytes[start + count - 1]) << UInt64(8 * (count - 1))
  }

  @inlinable @inline(__always)
  public static func equal(_ a: Span<UInt8>, _ startA: Int, _ b: Span<UInt8>, _ startB: Int, _ count: Int) -> Bool {
    if count < 8 { return short(a, startA, count) == short(b, startB, count) }
    let last = count - 8
    var index = 0
    while index < last {
      if word(a, startA + index) != word(b, startB + index) { return false }
      index += 8
    }
    return word(a, startA + last) == word(b, startB + last)
  }

  /// The bytes of `word`, from the lowest on, before the first that is a quote, a backslash or a control character.
  @inlinable @inline(__always)
  public static func plainCount(_ word: UInt64) -> Int {
    let quote = word ^ 0x2222_2222_2222_2222
    let backslash = word ^ 0x5C5C_5C5C_5C5C_5C5C
    // Of each byte the highest bit, set where subtracting borrows; a borrow that went on marks only bytes above a true one.
    let found =
      (quote &- 0x0101_0101_0101_0101) & ~quote | (backslash &- 0x0101_0101_0101_0101) & ~backslash
      | (word &- 0x2020_2020_2020_2020) & ~word
    return (found & 0x8080_8080_8080_8080).trailingZeroBitCount >> 3
  }

  /// The bytes of `word`, from the lowest on, before the first that is no space.
  @inlinable @inline(__always)
  public static func spaceCount(_ word: UInt64) -> Int { (word ^ 0x2020_2020_2020_2020).trailingZeroBitCount >> 3 }
}

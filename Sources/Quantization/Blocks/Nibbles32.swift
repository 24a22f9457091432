/// Element j in the low nibble of byte j, element j + 16 in the high one; fifth bits gathered before them.
enum Nibbles32 {
  static func write(
    _ levels: borrowing ScaleSearch.Levels, hasHighBits: Bool, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    if hasHighBits {
      var high: UInt32 = 0
      for j in 0..<32 { high |= UInt32(levels[j] >> 4 & 1) << UInt32(j) }
      writer.put(high, &out)
      for j in 0..<16 { writer.put(levels[j] & 0xF | (levels[j + 16] & 0xF) << 4, &out) }
    } else {
      for j in 0..<16 { writer.put(levels[j] | levels[j + 16] << 4, &out) }
    }
  }
}

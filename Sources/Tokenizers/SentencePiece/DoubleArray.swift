import Bytes

/// SentencePiece's `precompiled_charsmap`: which characters are rewritten before tokenizing, as a double-array trie (Aoe
/// 1989; the units of darts-clone) over their UTF-8, followed by the replacements, each ended by a zero.
struct CharactersMap: Sendable {
  private let units: [UInt32]
  private let replacements: [UInt8]

  /// - Parameter blob: a little-endian uint32 with the trie's size in bytes, the trie, the replacements.
  init(parsing blob: ArraySlice<UInt8>, file: String?) throws(InputError) {
    func number(_ index: Int) -> UInt32 {
      (0..<4).reduce(0) { $0 | UInt32(blob[blob.startIndex + index + $1]) << UInt32(8 * $1) }
    }
    guard blob.count > 4, number(0) % 4 == 0, number(0) >= 4, Int(number(0)) < blob.count - 4 else {
      throw InputError(
        .bounds, "the map of characters does not fit its field", file: file, offset: UInt64(blob.startIndex))
    }
    let size = Int(number(0))
    units = (0..<size / 4).map { number(4 + 4 * $0) }
    replacements = Array(blob.dropFirst(4 + size))
    guard replacements.last == 0 else {
      throw InputError(
        .truncated, "the last replacement has no end", file: file, offset: UInt64(blob.endIndex))
    }
  }

  /// The longest prefix of `text[start...]` that is rewritten: its length and what it becomes.
  func match(_ text: Span<UInt8>, _ start: Int) -> (length: Int, replacement: ArraySlice<UInt8>)? {
    var node = offset(units[0])
    var found: (Int, UInt32)?
    var index = start
    while index < text.count {
      node ^= Int(text[index])
      guard node < units.count, units[node] & 0x8000_00FF == UInt32(text[index]) else { break }
      let isLeaf = units[node] & 0x100 != 0
      node ^= offset(units[node])
      guard node < units.count else { break }
      index += 1
      if isLeaf { found = (index - start, units[node] & 0x7FFF_FFFF) }
    }
    guard let (length, value) = found, Int(value) < replacements.count else { return nil }
    return (length, replacements[Int(value)...].prefix { $0 != 0 })
  }

  private func offset(_ unit: UInt32) -> Int { Int(unit >> 10) << Int((unit & 0x200) >> 6) }
}

/// How a text is rewritten before its pieces are looked up: where a space is put before it, and every space as U+2581.
struct SpaceRules: Sendable {
  enum Prefix: Sendable {
    case never
    /// Before every stretch of text between added tokens.
    case always
    /// Before the text when it begins with no added token.
    case first
  }

  var prefix = Prefix.always
  /// The prefix is left out where the text begins with a space (with U+2581).
  var skipsPrefixBeforeSpace = false
  /// Runs of spaces are one; none at either end.
  var removesExtra = false
  var escapes = true
  /// Bytes that are no UTF-8 become U+FFFD.
  var replacesInvalid = false
  var map: CharactersMap?

  static let mark: [UInt8] = [0xE2, 0x96, 0x81]

  /// - Parameters:
  ///   - isFirst: whether nothing stands before the text.
  ///   - userDefined: texts that are left as they are.
  func apply(_ text: Span<UInt8>, _ start: Int, _ end: Int, isFirst: Bool, userDefined: AddedTokenMatcher) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity((end - start) * 5 / 4 + 3)
    let space: [UInt8] = escapes ? SpaceRules.mark : [0x20]
    var index = start
    if removesExtra {
      while index < end {
        let (piece, length) = next(text, index, end, userDefined)
        guard piece.elementsEqual([0x20]) else { break }
        index += length
      }
      if index == end { return [] }
    }
    let hasPrefix = prefix == .always || prefix == .first && isFirst
    if hasPrefix && !(skipsPrefixBeforeSpace && beginsWithSpace(text, index, end)) { out += space }
    var afterSpace = removesExtra
    while index < end {
      let byte = text[index]
      if byte != 0x20 && byte < 0x80 && map == nil && userDefined.isEmpty {
        out.append(byte)
        index += 1
        afterSpace = false
        continue
      }
      let (piece, length) = next(text, index, end, userDefined)
      var rest = piece[...]
      if afterSpace { rest = rest.drop { $0 == 0x20 } }
      for byte in rest {
        if byte == 0x20 { out += space } else { out.append(byte) }
      }
      if !rest.isEmpty { afterSpace = removesExtra && rest.last == 0x20 }
      index += length
    }
    if removesExtra {
      while out.count >= space.count, out[(out.count - space.count)...].elementsEqual(space) {
        out.removeLast(space.count)
      }
    }
    return out
  }

  private func beginsWithSpace(_ text: Span<UInt8>, _ start: Int, _ end: Int) -> Bool {
    if start < end && text[start] == 0x20 { return true }
    return start + 3 <= end && text[start] == 0xE2 && text[start + 1] == 0x96 && text[start + 2] == 0x81
  }

  private func next(
    _ text: Span<UInt8>, _ index: Int, _ end: Int, _ userDefined: AddedTokenMatcher
  ) -> (piece: [UInt8], length: Int) {
    func slice(_ length: Int) -> [UInt8] { (index..<index + length).map { text[$0] } }
    if !userDefined.isEmpty, let stop = userDefined.longestMatch(text, index, end) {
      return (slice(stop - index), stop - index)
    }
    if let (length, replacement) = map?.match(text, index), index + length <= end {
      return (Array(replacement), length)
    }
    let (value, length) = CharacterClass.scalar(text, index)
    if length == 1 && value >= 0x80 && replacesInvalid { return ([0xEF, 0xBF, 0xBD], 1) }
    return (slice(length), length)
  }
}

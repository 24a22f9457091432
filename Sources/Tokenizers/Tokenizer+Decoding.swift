extension Tokenizer {
  /// The bytes that a token stands for; of an added token, its text. Empty for an id without a token.
  public func tokenBytes(_ id: Int32) -> [UInt8] {
    if let added = added(id) { return Array(added.content.utf8) }
    let bytes = Array(vocabulary.bytes(of: Int(id)))
    guard let pieces else { return bytes }
    if pieces.isByte(id), let byte = SentencePieceFile.byte(bytes) { return [byte] }
    return spaces.escapes ? SpaceRules.unescaped(bytes) : bytes
  }

  /// The bytes of all tokens. A token may hold part of a character, so that only the whole need be UTF-8. The space that a
  /// SentencePiece vocabulary puts before a text is taken off again.
  /// - Parameter skipSpecial: leave out the tokens marked special.
  public func decode(_ ids: some Sequence<Int32>, skipSpecial: Bool = false) -> [UInt8] {
    var out: [UInt8] = []
    var isFirst = pieces != nil && spaces.prefix != .never
    for id in ids {
      let added = added(id)
      if skipSpecial && added?.isSpecial == true { continue }
      let bytes = tokenBytes(id)
      out.append(contentsOf: isFirst && added == nil && bytes.first == 0x20 ? bytes.dropFirst() : bytes[...])
      isFirst = isFirst && added != nil || spaces.prefix == .always && added != nil && pieces != nil
    }
    return out
  }

  /// The token's text as a vocabulary file writes it; `nil` for an id without a token.
  func text(of id: Int) -> String? {
    if let added = added(Int32(id)) { return added.content }
    guard vocabulary.forms.indices.contains(id) else { return nil }
    switch vocabulary.forms[id] {
    case .absent: return nil
    case .bytes: return ByteAlphabet.text(of: vocabulary.bytes(of: id))
    case .verbatim: return String(decoding: vocabulary.bytes(of: id), as: UTF8.self)
    }
  }
}

extension SpaceRules {
  /// Every U+2581 as a space.
  static func unescaped(_ text: [UInt8]) -> [UInt8] {
    var out: [UInt8] = []
    out.reserveCapacity(text.count)
    var index = 0
    while index < text.count {
      if index + 3 <= text.count && text[index..<index + 3].elementsEqual(mark) {
        out.append(0x20)
        index += 3
      } else {
        out.append(text[index])
        index += 1
      }
    }
    return out
  }
}

/// Tokens that are found in the text before it is cut into pieces: `<|eot_id|>` and the like.
struct AddedToken: Hashable, Sendable {
  var id: Int32
  /// The text exactly as it stands in the file.
  var content: String
  /// Skipped when a user's text is tokenized, where nobody may smuggle in an end of turn.
  var isSpecial: Bool
  /// Matched in a first pass, over what no other rule has touched; else in a second.
  var isNormalized = false
  var isSingleWord = false
  /// Takes the spaces before it, after it.
  var stripsLeft = false
  var stripsRight = false
  /// Whether a text is searched for it.
  var isMatched = true
}

/// Finds added tokens: at every position the longest one, from left to right (`tokenizers`, added_vocabulary.rs).
struct AddedTokenMatcher: Sendable {
  private let tokens: [AddedToken]
  /// Of the first bytes.
  private var begins = [Bool](repeating: false, count: 256)
  /// Numbers of tokens.
  private var trie: ByteTrie

  init(_ tokens: [AddedToken]) {
    self.tokens = tokens.filter { !$0.content.isEmpty }
    trie = ByteTrie(capacity: self.tokens.count * 8)
    for (number, token) in self.tokens.enumerated() {
      trie.insert(token.content.utf8, Int32(number))
      begins[Int(token.content.utf8[token.content.utf8.startIndex])] = true
    }
  }

  var isEmpty: Bool { tokens.isEmpty }

  /// The end of the longest token at `start`, or `nil`.
  func longestMatch(_ text: Span<UInt8>, _ start: Int, _ end: Int) -> Int? { longest(text, start, end)?.end }

  private func longest(_ text: Span<UInt8>, _ start: Int, _ end: Int) -> (token: Int, end: Int)? {
    var node = ByteTrie.root
    var position = start
    var found: (Int, Int)?
    while position < end {
      node = trie.child(of: node, text[position])
      if node < 0 { break }
      position += 1
      let token = trie.value(of: node)
      if token >= 0 { found = (Int(token), position) }
    }
    return found
  }

  /// A stretch of text, or the token that stands for it.
  struct Part {
    var token: Int32?
    var start: Int
    var end: Int
  }

  /// Cuts `text[start..<end]` at the tokens.
  /// - Parameter special: whether tokens marked special are recognised; if not they are text, but still matched first.
  func split(_ text: Span<UInt8>, _ start: Int, _ end: Int, special: Bool) -> [Part] {
    var parts: [Part] = []
    var plain = start
    var index = start
    while index < end {
      guard begins[Int(text[index])], let match = longest(text, index, end) else {
        index += 1
        continue
      }
      let token = tokens[match.token]
      var from = index
      var to = match.end
      index = match.end
      if token.isSpecial && !special { continue }
      if token.isSingleWord && (endsInWord(text, start, from) || beginsWithWord(text, to, end)) { continue }
      if token.stripsLeft { from = max(spaceStart(text, start, from), plain) }
      if token.stripsRight { to = spaceEnd(text, to, end) }
      if plain < from { parts.append(Part(token: nil, start: plain, end: from)) }
      parts.append(Part(token: token.id, start: from, end: to))
      plain = to
    }
    if plain < end { parts.append(Part(token: nil, start: plain, end: end)) }
    return parts
  }

  // MARK: Neighbours

  private func character(_ text: Span<UInt8>, _ index: Int, _ end: Int) -> (Unicode.Scalar?, Int) {
    let (value, length) = CharacterClass.scalar(text, index)
    guard index + length <= end else { return (nil, index + 1) }
    return (length == 1 && value >= 0x80 ? nil : Unicode.Scalar(value), index + length)
  }

  private func character(before index: Int, _ text: Span<UInt8>, _ start: Int) -> (Unicode.Scalar?, Int) {
    var first = index - 1
    while first > start && index - first < 4 && text[first] & 0xC0 == 0x80 { first -= 1 }
    let (scalar, end) = character(text, first, index)
    return end == index ? (scalar, first) : (nil, index - 1)
  }

  private func endsInWord(_ text: Span<UInt8>, _ start: Int, _ index: Int) -> Bool {
    index > start && isWord(character(before: index, text, start).0)
  }

  private func beginsWithWord(_ text: Span<UInt8>, _ index: Int, _ end: Int) -> Bool {
    index < end && isWord(character(text, index, end).0)
  }

  private func spaceStart(_ text: Span<UInt8>, _ start: Int, _ index: Int) -> Int {
    var index = index
    while index > start {
      let (scalar, before) = character(before: index, text, start)
      guard let scalar, scalar.properties.isWhitespace else { break }
      index = before
    }
    return index
  }

  private func spaceEnd(_ text: Span<UInt8>, _ index: Int, _ end: Int) -> Int {
    var index = index
    while index < end {
      let (scalar, after) = character(text, index, end)
      guard let scalar, scalar.properties.isWhitespace else { break }
      index = after
    }
    return index
  }

  /// `\w` (UTS 18): alphabetic, marks, decimal digits, connectors, joiners; frozen at Unicode 16.0 as the classes are.
  private func isWord(_ scalar: Unicode.Scalar?) -> Bool {
    guard let scalar else { return false }
    let properties = scalar.properties
    if let age = properties.age, age.major > 16 { return false }
    if properties.isAlphabetic || properties.isJoinControl { return true }
    switch properties.generalCategory {
    case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation: return true
    default: return false
    }
  }
}

/// Cuts runs of characters of one kind out of a text, each a piece; what is between them are pieces too.
///
/// One `Split` with the behaviour `Isolated` over a simple pattern, or `Digits`.
struct RunRule: Hashable, Sendable {
  enum Kind: Hashable, Sendable {
    /// `[\r\n]`
    case newline
    /// `\s`
    case space
    /// `\p{L}`
    case letter
    /// `\p{N}`
    case number
    /// Numeric for `Digits`.
    case digit
    /// `[0-9]`
    case asciiDigit
    /// `\p{P}`
    case punctuation
    /// `[\p{P}\$\+<=>\^~\|`]`
    case falconSign
    /// `[!-/:-~！-／：-～‘-‟　-。]`, in which "A" to "z" lie too
    case asciiSign
    /// The cased letters of DeepSeek's pattern, which lists them.
    case casedLetter
    /// `[一-龥ࠀ-一가-퟿]`
    case eastAsian
  }

  enum Count: Hashable, Sendable {
    case one, three, many
    /// As many as there are, only at the end.
    case toTheEnd
  }

  var kind: Kind
  var count: Count
  /// `\s?` before the run.
  var afterSpace: Bool

  init(_ kind: Kind, _ count: Count, afterSpace: Bool = false) {
    self.kind = kind
    self.count = count
    self.afterSpace = afterSpace
  }

  /// The rule that a regular expression of one run states, or `nil`.
  init?(pattern: String) {
    for (text, rule) in RunRule.patterns where text.utf8.elementsEqual(pattern.utf8) {
      self = rule
      return
    }
    guard pattern.utf8.elementsEqual("\\s?[\(CasedLetters.pattern)]+".utf8) else { return nil }
    self = RunRule(.casedLetter, .many, afterSpace: true)
  }

  private static let patterns: [(String, RunRule)] = [
    ("[\r\n]", RunRule(.newline, .one)),
    (#"[\r\n]"#, RunRule(.newline, .one)),
    (#"\s?\p{L}+"#, RunRule(.letter, .many, afterSpace: true)),
    (#"\s?\p{P}+"#, RunRule(.punctuation, .many, afterSpace: true)),
    (#"\s?[!-/:-~！-／：-～‘-‟　-。]+"#, RunRule(.asciiSign, .many, afterSpace: true)),
    (#"\s+$"#, RunRule(.space, .toTheEnd)),
    ("[一-龥ࠀ-一가-\u{D7FF}]+", RunRule(.eastAsian, .many)),
    (#"\p{N}+"#, RunRule(.number, .many)),
    (#"\p{N}"#, RunRule(.number, .one)),
  ]

  /// Appends the ends of the pieces of `text[start..<end]`.
  func split(_ text: Span<UInt8>, _ classes: Span<UInt8>, _ start: Int, _ end: Int, into ends: inout [Int]) {
    var plain = start
    var index = start
    while index < end {
      let stop = match(text, classes, index, end)
      if stop > index {
        if plain < index { ends.append(index) }
        ends.append(stop)
        index = stop
        plain = stop
      } else {
        index = characterEnd(classes, index, end)
      }
    }
    if plain < end { ends.append(end) }
  }

  /// Where the match at `start` ends; `start` when there is none.
  private func match(_ text: Span<UInt8>, _ classes: Span<UInt8>, _ start: Int, _ end: Int) -> Int {
    var first = start
    if afterSpace && classes[start] & CharacterClass.space != 0 {
      let next = characterEnd(classes, start, end)
      // No kind that follows an optional space holds a space, but for U+3000.
      if next < end && holds(text, classes, next) { first = next }
    }
    var index = first
    var matched = 0
    while index < end && holds(text, classes, index) {
      index = characterEnd(classes, index, end)
      matched += 1
      if count == .one || count == .three && matched == 3 { return index }
    }
    switch count {
    case .one, .three: return start
    case .many: return matched > 0 ? index : start
    case .toTheEnd: return index == end ? index : start
    }
  }

  private func characterEnd(_ classes: Span<UInt8>, _ start: Int, _ end: Int) -> Int {
    var next = start + 1
    while next < end && classes[next] & CharacterClass.continuation != 0 { next += 1 }
    return next
  }

  private func holds(_ text: Span<UInt8>, _ classes: Span<UInt8>, _ index: Int) -> Bool {
    switch kind {
    case .newline: return classes[index] & CharacterClass.newline != 0
    case .space: return classes[index] & CharacterClass.space != 0
    case .letter: return classes[index] & CharacterClass.letter != 0
    case .number: return classes[index] & CharacterClass.number != 0
    case .digit: return classes[index] & CharacterClass.digit != 0
    case .asciiDigit: return text[index] >= 0x30 && text[index] <= 0x39
    case .punctuation, .falconSign, .asciiSign, .casedLetter, .eastAsian: break
    }
    let (value, length) = CharacterClass.scalar(text, index)
    guard length > 1 || value < 0x80, let scalar = Unicode.Scalar(value) else { return false }
    switch kind {
    case .punctuation: return CharacterClass.isPunctuation(scalar)
    case .falconSign:
      return CharacterClass.isPunctuation(scalar) || "$+<=>^~|`".unicodeScalars.contains(scalar)
    case .asciiSign: return RunRule.asciiSigns.contains { $0.contains(value) }
    case .casedLetter: return CasedLetters.contains(value)
    default: return value >= 0x800 && value <= 0x9FA5 || value >= 0xAC00 && value <= 0xD7FF
    }
  }

  private static let asciiSigns: [ClosedRange<UInt32>] = [
    0x21...0x2F, 0x3A...0x7E, 0xFF01...0xFF0F, 0xFF1A...0xFF5E, 0x2018...0x201F, 0x3000...0x3002,
  ]
}

extension CharacterClass {
  /// `\p{P}`, frozen as the table is.
  static func isPunctuation(_ scalar: Unicode.Scalar) -> Bool {
    let properties = scalar.properties
    switch properties.generalCategory {
    case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
      .finalPunctuation, .otherPunctuation:
      return properties.age.map { $0.major <= 16 } ?? false
    default: return false
    }
  }
}

extension PreTokenizer {
  /// Where the pieces of `text[start..<end]` end, all rules applied in turn.
  func pieceEnds(_ text: Span<UInt8>, _ classes: Span<UInt8>, _ start: Int, _ end: Int) -> [Int] {
    var ends = [end]
    func refine(_ split: (Int, Int, inout [Int]) -> Void) {
      var finer: [Int] = []
      finer.reserveCapacity(ends.count * 2)
      var position = start
      for next in ends {
        split(position, next, &finer)
        position = next
      }
      ends = finer
    }
    for rule in before { refine { rule.split(text, classes, $0, $1, into: &$2) } }
    if let rules {
      refine { start, end, ends in
        var position = start
        while position < end {
          position = rules.pieceEnd(text, classes, from: position, to: end)
          ends.append(position)
        }
      }
    }
    for rule in after { refine { rule.split(text, classes, $0, $1, into: &$2) } }
    return ends
  }
}

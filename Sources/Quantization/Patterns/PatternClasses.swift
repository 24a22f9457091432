/// What follows a backslash.
struct EscapeParser {
  let text: [UInt8]
  private(set) var at: Int

  init(_ text: [UInt8], _ at: Int) { (self.text, self.at) = (text, at) }

  /// A class such as `\d`, or one byte.
  /// - Parameter inBracket: where `\b` is a backspace.
  mutating func parse(inBracket: Bool) throws(NamePattern.Invalid) -> (set: ByteSet, byte: UInt8?) {
    guard at < text.count else { throw NamePattern.Invalid("not a regular expression: it ends in a backslash") }
    let letter = text[at]
    at += 1
    func one(_ byte: UInt8) -> (ByteSet, UInt8?) { (ByteSet([byte]), byte) }
    switch Unicode.Scalar(letter) {
    case "d": return (.digit, nil)
    case "D": return (ByteSet.digit.inverted, nil)
    case "s": return (.space, nil)
    case "S": return (ByteSet.space.inverted, nil)
    case "w": return (.word, nil)
    case "W": return (ByteSet.word.inverted, nil)
    case "0": return one(0)
    case "b" where inBracket: return one(8)
    case "f": return one(12)
    case "n": return one(10)
    case "r": return one(13)
    case "t": return one(9)
    case "v": return one(11)
    case "x": return one(try hexadecimal(digits: 2))
    case "u": return one(try hexadecimal(digits: 4))
    case "1"..."9": throw NamePattern.Invalid("back references such as \\\(letter - 48) are not supported")
    case "c": throw NamePattern.Invalid("control characters are written \\x01, not \\c")
    default: return one(letter)
    }
  }

  private mutating func hexadecimal(digits: Int) throws(NamePattern.Invalid) -> UInt8 {
    var value = 0
    for _ in 0..<digits {
      guard at < text.count, let digit = Character(Unicode.Scalar(text[at])).hexDigitValue else {
        throw NamePattern.Invalid("not a regular expression: \(digits) hexadecimal digits expected at byte \(at)")
      }
      value = value * 16 + digit
      at += 1
    }
    guard value < 128 else { throw NamePattern.Invalid("the names of tensors are ASCII: no character \(value)") }
    return UInt8(value)
  }
}

/// `[…]` behind its bracket.
struct BracketParser {
  let text: [UInt8]
  private(set) var at: Int

  init(_ text: [UInt8], _ at: Int) { (self.text, self.at) = (text, at) }

  private enum Item {
    case byte(UInt8)
    case set(ByteSet)
    case dash
  }

  mutating func parse() throws(NamePattern.Invalid) -> ByteSet {
    var set = ByteSet()
    let isNegated = at < text.count && text[at] == UInt8(ascii: "^")
    if isNegated { at += 1 }
    /// The byte before, which a dash may make the start of a range.
    var start: UInt8?
    var isFirst = true
    while let item = try next() {
      switch item {
      case .byte(let byte):
        set.insert(byte)
        start = byte
      case .set(let other):
        set.formUnion(other)
        start = nil
      case .dash:
        if isFirst || isAtEnd {
          set.insert(UInt8(ascii: "-"))
          start = UInt8(ascii: "-")
        } else {
          guard let low = start, let high = try rangeEnd(), low <= high else {
            throw NamePattern.Invalid("not a regular expression: a range without two ends in order at byte \(at)")
          }
          for byte in low...high { set.insert(byte) }
          start = nil
        }
      }
      isFirst = false
    }
    return isNegated ? set.inverted : set
  }

  private var isAtEnd: Bool { at < text.count && text[at] == UInt8(ascii: "]") }

  private mutating func rangeEnd() throws(NamePattern.Invalid) -> UInt8? {
    switch try next() {
    case .byte(let byte): byte
    case .dash: UInt8(ascii: "-")
    default: nil
    }
  }

  /// `nil` for the closing bracket.
  private mutating func next() throws(NamePattern.Invalid) -> Item? {
    guard at < text.count else { throw NamePattern.Invalid("not a regular expression: no ] for the [") }
    let byte = text[at]
    at += 1
    switch Unicode.Scalar(byte) {
    case "]": return nil
    case "-": return .dash
    case "\\":
      var escape = EscapeParser(text, at)
      defer { at = escape.at }
      let found = try escape.parse(inBracket: true)
      return found.byte.map(Item.byte) ?? .set(found.set)
    case "[":
      guard at < text.count, [".", ":", "="].contains(Unicode.Scalar(text[at])) else { return .byte(byte) }
      return .set(try named())
    default: return .byte(byte)
    }
  }

  /// `:alpha:]` and its like.
  private mutating func named() throws(NamePattern.Invalid) -> ByteSet {
    let letters = text[(at + 1)...].prefix { (97...122).contains($0) }
    let name = String(decoding: letters, as: UTF8.self)
    let end = letters.endIndex
    guard text[at] == UInt8(ascii: ":"), text[end...].starts(with: ":]".utf8), let set = ByteSet.named[name] else {
      throw NamePattern.Invalid("not a regular expression: no class of characters at byte \(at - 1)")
    }
    at = end + 2
    return set
  }
}

extension ByteSet {
  static let digit = ByteSet(UInt8(ascii: "0")...UInt8(ascii: "9"))
  static let space = ByteSet([9, 10, 11, 12, 13, 32])
  static let lower = ByteSet(UInt8(ascii: "a")...UInt8(ascii: "z"))
  static let upper = ByteSet(UInt8(ascii: "A")...UInt8(ascii: "Z"))
  static let alpha = lower.union(upper)
  static let alphanumeric = alpha.union(digit)
  static let word = alphanumeric.union(ByteSet([UInt8(ascii: "_")]))
  static let graph = ByteSet(33...126)

  /// The classes of the C locale.
  static let named: [String: ByteSet] = [
    "alnum": alphanumeric, "alpha": alpha, "blank": ByteSet([9, 32]), "cntrl": ByteSet(Array(0...31) + [127]),
    "d": digit, "digit": digit, "graph": graph, "lower": lower, "print": ByteSet(32...126),
    "punct": ByteSet((33...126).filter { !alphanumeric.contains($0) }), "s": space, "space": space, "upper": upper,
    "w": word, "xdigit": digit.union(ByteSet(Array("abcdefABCDEF".utf8))),
  ]

  func union(_ other: ByteSet) -> ByteSet {
    var set = self
    set.formUnion(other)
    return set
  }
}

/// What a pattern says.
indirect enum PatternNode {
  case empty
  case bytes(ByteSet)
  case edge(NamePattern.Edge)
  /// Not empty.
  case sequence([PatternNode])
  case either(PatternNode, PatternNode)
  /// `most` is `nil` for any number.
  case repeated(PatternNode, least: Int, most: Int?)
  case look(PatternNode, isNegated: Bool)
}

/// The grammar of ECMAScript's regular expressions as libstdc++ reads it: lone `]` and `}` are plain characters, quantifiers
/// may follow one another, and laziness changes nothing where only a yes or no is asked.
struct PatternParser {
  typealias Invalid = NamePattern.Invalid

  private let text: [UInt8]
  private var at = 0

  init(_ text: [UInt8]) { self.text = text }

  private var next: UInt8? { at < text.count ? text[at] : nil }

  private mutating func take(_ byte: Unicode.Scalar) -> Bool {
    guard next == UInt8(ascii: byte) else { return false }
    at += 1
    return true
  }

  /// The character read last was not expected.
  private func unexpected(_ what: String) -> Invalid { Invalid("not a regular expression: \(what) at byte \(at)") }

  mutating func parse() throws(Invalid) -> PatternNode {
    let node = try alternatives()
    guard next == nil else { throw unexpected(next == UInt8(ascii: ")") ? "no ( for the )" : "nothing to repeat") }
    return node
  }

  private mutating func alternatives() throws(Invalid) -> PatternNode {
    var node = try terms()
    while take("|") { node = .either(node, try terms()) }
    return node
  }

  private mutating func terms() throws(Invalid) -> PatternNode {
    var parts: [PatternNode] = []
    while let byte = next, byte != UInt8(ascii: "|") && byte != UInt8(ascii: ")") {
      if let assertion = try assertion() {
        parts.append(assertion)
      } else if let atom = try atom() {
        parts.append(try quantified(atom))
      } else {
        throw unexpected("nothing to repeat")
      }
    }
    return parts.isEmpty ? .empty : .sequence(parts)
  }

  /// What takes no byte, and cannot be repeated.
  private mutating func assertion() throws(Invalid) -> PatternNode? {
    if take("^") { return .edge(.start) }
    if take("$") { return .edge(.end) }
    let rest = text[at...]
    for (opening, edge) in [("\\b", NamePattern.Edge.word), ("\\B", .noWord)] where rest.starts(with: opening.utf8) {
      at += 2
      return .edge(edge)
    }
    for (opening, isNegated) in [("(?=", false), ("(?!", true)] where rest.starts(with: opening.utf8) {
      at += 3
      return .look(try group(), isNegated: isNegated)
    }
    return nil
  }

  /// The inside of a group and its end.
  private mutating func group() throws(Invalid) -> PatternNode {
    let node = try alternatives()
    guard take(")") else { throw unexpected("no ) for the (") }
    return node
  }

  private mutating func atom() throws(Invalid) -> PatternNode? {
    guard let byte = next else { return nil }
    switch Unicode.Scalar(byte) {
    case "*", "+", "?", "{": return nil
    case ".":
      at += 1
      return .bytes(ByteSet([10, 13]).inverted)
    case "(":
      at += 1
      if take("?") && !take(":") { throw unexpected("only (?:, (?= and (?! are known") }
      return try group()
    case "[":
      at += 1
      var bracket = BracketParser(text, at)
      defer { at = bracket.at }
      return .bytes(try bracket.parse())
    case "\\":
      at += 1
      var escape = EscapeParser(text, at)
      defer { at = escape.at }
      return .bytes(try escape.parse(inBracket: false).set)
    default:
      at += 1
      return .bytes(ByteSet([byte]))
    }
  }

  private mutating func quantified(_ atom: PatternNode) throws(Invalid) -> PatternNode {
    var node = atom
    while true {
      if take("*") {
        node = .repeated(node, least: 0, most: nil)
      } else if take("+") {
        node = .repeated(node, least: 1, most: nil)
      } else if take("?") {
        node = .repeated(node, least: 0, most: 1)
      } else if take("{") {
        node = try counted(node)
      } else {
        return node
      }
      _ = take("?")
    }
  }

  /// `{n}`, `{n,}` or `{n,m}` behind its brace.
  private mutating func counted(_ node: PatternNode) throws(Invalid) -> PatternNode {
    guard let least = try count() else { throw unexpected("a number expected") }
    var most: Int? = least
    if take(",") { most = try count() }
    guard take("}") else { throw unexpected("} expected") }
    if let most, most < least { throw unexpected("{\(least),\(most)} counts down") }
    return least == 0 && most == 0 ? .empty : .repeated(node, least: least, most: most)
  }

  private mutating func count() throws(Invalid) -> Int? {
    var value: Int?
    while let byte = next, (48...57).contains(byte) {
      at += 1
      value = (value ?? 0) * 10 + Int(byte - 48)
      if let value, value > NamePattern.largest { throw Invalid("the expression repeats too much") }
    }
    return value
  }
}

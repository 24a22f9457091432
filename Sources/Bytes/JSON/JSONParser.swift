/// One pass over the bytes of a JSON text into a flat list of nodes, children right after their container.
///
/// An object's members are a string node (the key) followed by the value's nodes.
struct JSONParser {
  private typealias Node = JSONDocument.Node

  private struct Container {
    let node: Int
    let isObject: Bool
    /// Elements or members so far.
    var count: UInt32 = 0
  }

  private let maximumDepth: Int
  private let maximumNodes: Int
  private var position = 0
  private var nodes: [JSONDocument.Node] = []
  /// The containers that are open, outermost first.
  private var open: [Container] = []

  static func parse(
    _ bytes: [UInt8], maximumDepth: Int, maximumNodes: Int
  ) throws(InputError) -> [JSONDocument.Node] {
    var parser = JSONParser(maximumDepth: maximumDepth, maximumNodes: maximumNodes)
    // A list of merges has a node to sixteen bytes, and growing would copy them all.
    parser.nodes.reserveLargePages(min(maximumNodes, bytes.count / 12 + 16))
    try parser.document(bytes.span)
    return parser.nodes
  }

  private init(maximumDepth: Int, maximumNodes: Int) {
    self.maximumDepth = maximumDepth
    self.maximumNodes = maximumNodes
  }

  private mutating func document(_ text: Span<UInt8>) throws(InputError) {
    try value(text)
    while let container = open.last {
      skipSpace(text)
      let isObject = container.isObject
      if peek(text) == (isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")) {
        position += 1
        try close(container, text)
        continue
      }
      if container.count > 0 {
        guard peek(text) == UInt8(ascii: ",") else { throw unexpected("',' or '\(isObject ? "}" : "]")'", text) }
        position += 1
        skipSpace(text)
      }
      open[open.count - 1].count += 1
      if isObject { try key(text) }
      try value(text)
      guard nodes.count <= maximumNodes else {
        throw InputError(.limit, "more than \(maximumNodes) values and keys", offset: UInt64(position))
      }
    }
    skipSpace(text)
    guard position == text.count else { throw unexpected("the end of the text", text) }
  }

  private mutating func close(_ container: Container, _ text: Span<UInt8>) throws(InputError) {
    nodes[container.node].extent = container.count
    nodes[container.node].next = UInt32(nodes.count)
    open.removeLast()
    if container.isObject { try checkKeys(of: container, text) }
  }

  private mutating func key(_ text: Span<UInt8>) throws(InputError) {
    guard peek(text) == UInt8(ascii: "\"") else { throw unexpected("a key in quotes", text) }
    try string(text)
    skipSpace(text)
    guard peek(text) == UInt8(ascii: ":") else { throw unexpected("':'", text) }
    position += 1
  }

  private mutating func value(_ text: Span<UInt8>) throws(InputError) {
    skipSpace(text)
    switch peek(text) {
    case UInt8(ascii: "\""): try string(text)
    case UInt8(ascii: "{"): try begin(isObject: true)
    case UInt8(ascii: "["): try begin(isObject: false)
    case UInt8(ascii: "t"): try word("true", .bool, text)
    case UInt8(ascii: "f"): try word("false", .bool, text)
    case UInt8(ascii: "n"): try word("null", .null, text)
    default: try number(text)
    }
  }

  private mutating func begin(isObject: Bool) throws(InputError) {
    guard open.count < maximumDepth else {
      throw InputError(.limit, "nested deeper than \(maximumDepth) levels", offset: UInt64(position))
    }
    open.append(Container(node: nodes.count, isObject: isObject))
    nodes.append(Node(kind: isObject ? .object : .array, start: UInt32(position), extent: 0, next: 0))
    position += 1
  }

  private mutating func leaf(_ kind: JSONValue.Kind, _ start: Int, _ end: Int, hasEscapes: Bool = false) {
    nodes.append(
      Node(kind: kind, hasEscapes: hasEscapes, start: UInt32(start), extent: UInt32(end), next: UInt32(nodes.count + 1))
    )
  }

  private mutating func word(_ word: StaticString, _ kind: JSONValue.Kind, _ text: Span<UInt8>) throws(InputError) {
    let start = position
    for byte in word.description.utf8 {
      guard peek(text) == byte else { throw unexpected("'\(word)'", text) }
      position += 1
    }
    leaf(kind, start, position)
  }

  private mutating func string(_ text: Span<UInt8>) throws(InputError) {
    let start = position + 1
    var index = start
    var hasEscapes = false
    while true {
      if index + 8 <= text.count {
        let plain = ByteWords.plainCount(ByteWords.word(text, index))
        index += plain
        if plain == 8 { continue }
      }
      guard index < text.count else {
        position = index
        throw unexpected("the end of a string", text)
      }
      let byte = text[index]
      if byte == UInt8(ascii: "\"") { break }
      if byte == UInt8(ascii: "\\") {
        hasEscapes = true
        position = index
        try escape(text)
        index = position
      } else if byte < 0x20 {
        position = index
        throw unexpected("no control character in a string", text)
      } else {
        index += 1
      }
    }
    position = index + 1
    leaf(.string, start, index, hasEscapes: hasEscapes)
  }

  private mutating func escape(_ text: Span<UInt8>) throws(InputError) {
    let start = position
    position += 1
    switch peek(text) {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
      UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
      position += 1
    case UInt8(ascii: "u"):
      let unit = try codeUnit(text)
      switch unit & 0xFC00 {
      case 0xD800:
        guard peek(text) == UInt8(ascii: "\\"), position + 1 < text.count, text[position + 1] == UInt8(ascii: "u")
        else {
          throw loneSurrogate(start)
        }
        position += 1
        guard try codeUnit(text) & 0xFC00 == 0xDC00 else { throw loneSurrogate(start) }
      case 0xDC00: throw loneSurrogate(start)
      default: break
      }
    default: throw unexpected("a known escape", text)
    }
  }

  /// `u` and four hexadecimal digits at `position`.
  private mutating func codeUnit(_ text: Span<UInt8>) throws(InputError) -> UInt32 {
    var value: UInt32 = 0
    position += 1
    for _ in 0..<4 {
      guard let byte = peek(text), let digit = JSONEscapes.digit(byte) else {
        throw unexpected("four hexadecimal digits", text)
      }
      value = value << 4 | UInt32(digit)
      position += 1
    }
    return value
  }

  private func loneSurrogate(_ offset: Int) -> InputError {
    InputError(.utf8, "half of a surrogate pair", offset: UInt64(offset))
  }

  private mutating func number(_ text: Span<UInt8>) throws(InputError) {
    let start = position
    if peek(text) == UInt8(ascii: "-") { position += 1 }
    if peek(text) == UInt8(ascii: "0") { position += 1 } else { try digits("a value", text) }
    if peek(text) == UInt8(ascii: ".") {
      position += 1
      try digits("a digit", text)
    }
    if let byte = peek(text), byte | 0x20 == UInt8(ascii: "e") {
      position += 1
      if let sign = peek(text), sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") { position += 1 }
      try digits("a digit", text)
    }
    leaf(.number, start, position)
  }

  private mutating func digits(_ expected: StaticString, _ text: Span<UInt8>) throws(InputError) {
    let start = position
    while let byte = peek(text), byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { position += 1 }
    if position == start { throw unexpected("\(expected)", text) }
  }

  @inline(__always)
  private func peek(_ text: Span<UInt8>) -> UInt8? { position < text.count ? text[position] : nil }

  @inline(__always)
  private mutating func skipSpace(_ text: Span<UInt8>) {
    while let byte = peek(text), byte <= 0x20 {
      guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
      position += 1
      // A line that is indented goes on with spaces.
      while position + 8 <= text.count {
        let spaces = ByteWords.spaceCount(ByteWords.word(text, position))
        position += spaces
        if spaces < 8 { break }
      }
    }
  }

  private func unexpected(_ expected: String, _ text: Span<UInt8>) -> InputError {
    guard let byte = peek(text) else {
      return InputError(.json, "\(expected) expected, the text ends", offset: UInt64(position))
    }
    let found = byte > 0x20 && byte < 0x7F ? "'\(Unicode.Scalar(byte))'" : "byte 0x" + String(byte, radix: 16)
    return InputError(.json, "\(expected) expected, found \(found)", offset: UInt64(position))
  }

  // MARK: Duplicate keys

  /// By a table of hashes that are seeded anew in every process, so that no file can be made to collide.
  private func checkKeys(of container: Container, _ text: Span<UInt8>) throws(InputError) {
    let count = Int(container.count)
    guard count > 1 else { return }
    let mask = (count * 2).nextPowerOfTwo - 1
    let seed = ByteHash.currentSeed
    // Half the hash above the number of a node; 0 is free. Most that differ are told apart without reading them.
    var table = [UInt64](largePages: 0, count: mask + 1)
    var child = container.node + 1
    while child < nodes.count {
      let hash = hash(nodes[child], text, seed)
      var slot = Int(truncatingIfNeeded: hash) & mask
      while table[slot] != 0 {
        if table[slot] >> 32 == hash >> 32, equal(nodes[child], nodes[Int(table[slot] & 0xFFFF_FFFF)], text) {
          throw InputError(
            .duplicate, "the key stands twice in one object",
            subject: String(decoding: content(of: nodes[child], text), as: UTF8.self),
            offset: UInt64(nodes[child].start))
        }
        slot = (slot + 1) & mask
      }
      table[slot] = hash & ~0xFFFF_FFFF | UInt64(child)
      child = Int(nodes[child + 1].next)
    }
  }

  @inline(__always)
  private func hash(_ key: JSONDocument.Node, _ text: Span<UInt8>, _ seed: UInt64) -> UInt64 {
    if !key.hasEscapes { return ByteHash.hash(text, Int(key.start), Int(key.extent), seed: seed) }
    let resolved = content(of: key, text)
    return ByteHash.hash(resolved.span, 0, resolved.count, seed: seed)
  }

  private func equal(_ a: JSONDocument.Node, _ b: JSONDocument.Node, _ text: Span<UInt8>) -> Bool {
    if a.hasEscapes || b.hasEscapes { return content(of: a, text) == content(of: b, text) }
    return a.bytes.count == b.bytes.count
      && ByteWords.equal(text, Int(a.start), text, Int(b.start), a.bytes.count)
  }

  private func content(of node: JSONDocument.Node, _ text: Span<UInt8>) -> [UInt8] {
    var out: [UInt8] = []
    JSONEscapes.resolve(text, node.bytes, into: &out)
    return out
  }
}

extension Int {
  fileprivate var nextPowerOfTwo: Int { self <= 1 ? 1 : 1 << (Int.bitWidth - (self - 1).leadingZeroBitCount) }
}

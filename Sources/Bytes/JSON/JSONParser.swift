/// One pass over the bytes of a JSON text into a flat list of nodes, children right after their container.
///
/// An object's members are a string node (the key) followed by the value's nodes.
struct JSONParser {
  private typealias Node = JSONDocument.Node

  private let bytes: [UInt8]
  private let maximumDepth: Int
  private let maximumNodes: Int
  private var position = 0
  private var nodes: [JSONDocument.Node] = []
  /// The containers that are open, outermost first.
  private var open: [Int] = []

  static func parse(
    _ bytes: [UInt8], maximumDepth: Int, maximumNodes: Int
  ) throws(InputError) -> [JSONDocument.Node] {
    var parser = JSONParser(bytes: bytes, maximumDepth: maximumDepth, maximumNodes: maximumNodes)
    // A list of merges has a node to sixteen bytes, and growing would copy them all.
    parser.nodes.reserveCapacity(min(maximumNodes, bytes.count / 12 + 16))
    try parser.document()
    return parser.nodes
  }

  private init(bytes: [UInt8], maximumDepth: Int, maximumNodes: Int) {
    self.bytes = bytes
    self.maximumDepth = maximumDepth
    self.maximumNodes = maximumNodes
  }

  private mutating func document() throws(InputError) {
    try value()
    while let container = open.last {
      skipSpace()
      let isObject = nodes[container].kind == .object
      let closer = isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")
      if peek() == closer, nodes[container].extent == 0 || !justAfterComma {
        position += 1
        try close(container)
        continue
      }
      if nodes[container].extent > 0 && !justAfterComma {
        guard peek() == UInt8(ascii: ",") else { throw unexpected("',' or '\(isObject ? "}" : "]")'") }
        position += 1
        justAfterComma = true
        skipSpace()
      }
      justAfterComma = false
      if isObject { try key() }
      nodes[container].extent += 1
      try value()
      guard nodes.count <= maximumNodes else {
        throw InputError(.limit, "more than \(maximumNodes) values and keys", offset: UInt64(position))
      }
    }
    skipSpace()
    guard position == bytes.count else { throw unexpected("the end of the text") }
  }

  /// Set between a comma and what must follow it, so that `[1,]` is refused.
  private var justAfterComma = false

  private mutating func close(_ container: Int) throws(InputError) {
    nodes[container].next = UInt32(nodes.count)
    open.removeLast()
    if nodes[container].kind == .object { try checkKeys(of: container) }
  }

  private mutating func key() throws(InputError) {
    guard peek() == UInt8(ascii: "\"") else { throw unexpected("a key in quotes") }
    try string()
    skipSpace()
    guard peek() == UInt8(ascii: ":") else { throw unexpected("':'") }
    position += 1
  }

  private mutating func value() throws(InputError) {
    skipSpace()
    switch peek() {
    case UInt8(ascii: "{"): try begin(.object)
    case UInt8(ascii: "["): try begin(.array)
    case UInt8(ascii: "\""): try string()
    case UInt8(ascii: "t"): try word("true", .bool)
    case UInt8(ascii: "f"): try word("false", .bool)
    case UInt8(ascii: "n"): try word("null", .null)
    default: try number()
    }
  }

  private mutating func begin(_ kind: JSONValue.Kind) throws(InputError) {
    guard open.count < maximumDepth else {
      throw InputError(.limit, "nested deeper than \(maximumDepth) levels", offset: UInt64(position))
    }
    open.append(nodes.count)
    nodes.append(Node(kind: kind, start: UInt32(position), extent: 0, next: 0))
    position += 1
  }

  private mutating func leaf(_ kind: JSONValue.Kind, _ start: Int, _ end: Int, hasEscapes: Bool = false) {
    nodes.append(
      Node(kind: kind, hasEscapes: hasEscapes, start: UInt32(start), extent: UInt32(end), next: UInt32(nodes.count + 1))
    )
  }

  private mutating func word(_ text: StaticString, _ kind: JSONValue.Kind) throws(InputError) {
    let start = position
    for byte in text.description.utf8 {
      guard peek() == byte else { throw unexpected("'\(text)'") }
      position += 1
    }
    leaf(kind, start, position)
  }

  private mutating func string() throws(InputError) {
    let start = position + 1
    var index = start
    var hasEscapes = false
    while true {
      guard index < bytes.count else {
        position = index
        throw unexpected("the end of a string")
      }
      let byte = bytes[index]
      if byte == UInt8(ascii: "\"") { break }
      if byte == UInt8(ascii: "\\") {
        hasEscapes = true
        position = index
        try escape()
        index = position
      } else if byte < 0x20 {
        position = index
        throw unexpected("no control character in a string")
      } else {
        index += 1
      }
    }
    position = index + 1
    leaf(.string, start, index, hasEscapes: hasEscapes)
  }

  private mutating func escape() throws(InputError) {
    let start = position
    position += 1
    switch peek() {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
      UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
      position += 1
    case UInt8(ascii: "u"):
      let unit = try codeUnit()
      switch unit & 0xFC00 {
      case 0xD800:
        guard peek() == UInt8(ascii: "\\"), position + 1 < bytes.count, bytes[position + 1] == UInt8(ascii: "u") else {
          throw loneSurrogate(start)
        }
        position += 1
        guard try codeUnit() & 0xFC00 == 0xDC00 else { throw loneSurrogate(start) }
      case 0xDC00: throw loneSurrogate(start)
      default: break
      }
    default: throw unexpected("a known escape")
    }
  }

  /// `u` and four hexadecimal digits at `position`.
  private mutating func codeUnit() throws(InputError) -> UInt32 {
    var value: UInt32 = 0
    position += 1
    for _ in 0..<4 {
      guard let byte = peek(), let digit = JSONEscapes.digit(byte) else { throw unexpected("four hexadecimal digits") }
      value = value << 4 | UInt32(digit)
      position += 1
    }
    return value
  }

  private func loneSurrogate(_ offset: Int) -> InputError {
    InputError(.utf8, "half of a surrogate pair", offset: UInt64(offset))
  }

  private mutating func number() throws(InputError) {
    let start = position
    if peek() == UInt8(ascii: "-") { position += 1 }
    if peek() == UInt8(ascii: "0") { position += 1 } else { try digits("a value") }
    if peek() == UInt8(ascii: ".") {
      position += 1
      try digits("a digit")
    }
    if let byte = peek(), byte | 0x20 == UInt8(ascii: "e") {
      position += 1
      if let sign = peek(), sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") { position += 1 }
      try digits("a digit")
    }
    leaf(.number, start, position)
  }

  private mutating func digits(_ expected: String) throws(InputError) {
    let start = position
    while let byte = peek(), byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { position += 1 }
    if position == start { throw unexpected(expected) }
  }

  @inline(__always)
  private func peek() -> UInt8? { position < bytes.count ? bytes[position] : nil }

  @inline(__always)
  private mutating func skipSpace() {
    while let byte = peek(), byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
  }

  private func unexpected(_ expected: String) -> InputError {
    guard let byte = peek() else {
      return InputError(.json, "\(expected) expected, the text ends", offset: UInt64(position))
    }
    let found = byte > 0x20 && byte < 0x7F ? "'\(Unicode.Scalar(byte))'" : "byte 0x" + String(byte, radix: 16)
    return InputError(.json, "\(expected) expected, found \(found)", offset: UInt64(position))
  }

  // MARK: Duplicate keys

  /// By a table of hashes that are seeded anew in every process, so that no file can be made to collide.
  private func checkKeys(of container: Int) throws(InputError) {
    let count = Int(nodes[container].extent)
    guard count > 1 else { return }
    let mask = (count * 2).nextPowerOfTwo - 1
    // Half the hash above the number of a node; 0 is free. Most that differ are told apart without reading them.
    var table = [UInt64](repeating: 0, count: mask + 1)
    var child = container + 1
    let end = Int(nodes[container].next)
    while child < end {
      let key = content(of: nodes[child])
      let hash = hash(key)
      let tag = UInt64(UInt(bitPattern: hash)) >> 32
      var slot = hash & mask
      while table[slot] != 0 {
        if table[slot] >> 32 == tag, content(of: nodes[Int(table[slot] & 0xFFFF_FFFF)]) == key {
          throw InputError(
            .duplicate, "the key stands twice in one object", subject: String(decoding: key, as: UTF8.self),
            offset: UInt64(nodes[child].start))
        }
        slot = (slot + 1) & mask
      }
      table[slot] = tag << 32 | UInt64(child)
      child = Int(nodes[child + 1].next)
    }
  }

  private func hash(_ key: ArraySlice<UInt8>) -> Int {
    var hasher = Hasher()
    unsafe key.withUnsafeBytes { unsafe hasher.combine(bytes: $0) }
    return hasher.finalize()
  }

  private func content(of node: JSONDocument.Node) -> ArraySlice<UInt8> {
    let raw = bytes[node.bytes]
    guard node.hasEscapes else { return raw }
    var out: [UInt8] = []
    JSONEscapes.resolve(raw, into: &out)
    return out[...]
  }
}

extension Int {
  fileprivate var nextPowerOfTwo: Int { self <= 1 ? 1 : 1 << (Int.bitWidth - (self - 1).leadingZeroBitCount) }
}

/// A JSON text (RFC 8259), proved whole and held as a flat arena of nodes over its bytes.
///
/// Stricter than the RFC where files that decide what bytes mean are attacked: two equal keys in one object, bytes that are
/// not UTF-8, lone surrogates, a byte-order mark, anything after the value, and nesting deeper than `maximumDepth` are
/// errors. Keys are compared as bytes, so composed and decomposed "é" are two keys. Nothing recurses, so no depth can
/// overflow the stack.
public final class JSONDocument: Sendable {
  struct Node: Sendable {
    var kind: JSONValue.Kind
    var hasEscapes = false
    /// Where the value begins; of a string, behind the quote.
    var start: UInt32
    /// Of a scalar, where it ends; of a container, its elements or members. One field: a vocabulary has a million nodes.
    var extent: UInt32
    /// The node after this one and all that it contains.
    var next: UInt32

    /// The place of a scalar.
    var bytes: Range<Int> { Int(start)..<Int(extent) }
  }

  let bytes: [UInt8]
  let nodes: [Node]
  let file: String?
  /// The offset in `file` of the first byte of the text.
  let base: Int

  public var root: JSONValue { JSONValue(document: self, index: 0) }

  /// - Parameters:
  ///   - bytes: the text; at most 1 GiB.
  ///   - file: its name, for messages.
  ///   - base: the offset in `file` of the first byte of the text, for messages.
  ///   - maximumNodes: values and keys together; each takes 16 bytes, where the text may spend two on it.
  /// - Throws: `JSON`, `UTF8`, `DUP` or `LIMIT`, with the offset.
  public init(
    parsing bytes: [UInt8], file: String? = nil, base: Int = 0, maximumDepth: Int = 64, maximumNodes: Int = .max
  ) throws(InputError) {
    guard bytes.count <= 1 << 30 else {
      throw InputError(.limit, "\(bytes.count) bytes of JSON, at most 1 GiB is read", file: file)
    }
    do {
      _ = try UTF8Span(validating: bytes.span)
    } catch {
      throw InputError(
        .utf8, "not valid UTF-8", file: file, offset: UInt64(base + error.byteOffsets.lowerBound))
    }
    do {
      nodes = try JSONParser.parse(bytes, maximumDepth: maximumDepth, maximumNodes: maximumNodes)
    } catch {
      throw error.adding(file: file, offset: nil).shifted(by: base)
    }
    self.bytes = bytes
    self.file = file
    self.base = base
  }

  /// The text of the file at `path`, which is refused when larger than `limit` bytes.
  public convenience init(reading path: String, limit: Int) throws {
    try self.init(parsing: RandomAccessFile(path).readAll(limit: limit), file: path)
  }

  /// The bytes of a scalar, escapes resolved.
  func content(of node: Node) -> ArraySlice<UInt8> {
    guard node.hasEscapes else { return bytes[node.bytes] }
    var out: [UInt8] = []
    append(node, to: &out)
    return out[...]
  }

  /// The number that a scalar's at most 18 digits write; `nil` when it is anything else. A vocabulary has one for each token.
  func digits(of node: Node) -> Int? {
    guard node.bytes.count <= 18 else { return nil }
    var value = 0
    for index in node.bytes {
      let digit = bytes[index] &- UInt8(ascii: "0")
      guard digit < 10 else { return nil }
      value = value * 10 + Int(digit)
    }
    return value
  }

  func append(_ node: Node, to out: inout [UInt8]) {
    let range = node.bytes
    if node.hasEscapes {
      let bytes = bytes
      JSONEscapes.resolve(bytes.span, range, into: &out)
      return
    }
    // A slice of the array would be counted as one more owner, which takes longer than copying the few bytes of a token.
    unsafe bytes.withUnsafeBufferPointer { unsafe out.append(contentsOf: UnsafeBufferPointer(rebasing: $0[range])) }
  }

  func node(_ index: Int, equals key: String) -> Bool { content(of: nodes[index]).elementsEqual(key.utf8) }
}

extension InputError {
  fileprivate func shifted(by base: Int) -> InputError {
    var error = self
    error.offset = offset.map { $0 + UInt64(base) }
    return error
  }
}

/// Backslash escapes inside strings that the parser has already proved well-formed.
enum JSONEscapes {
  static func resolve(_ raw: Span<UInt8>, _ range: Range<Int>, into out: inout [UInt8]) {
    var index = range.lowerBound
    while index < range.upperBound {
      let byte = raw[index]
      guard byte == UInt8(ascii: "\\") else {
        out.append(byte)
        index += 1
        continue
      }
      let kind = raw[index + 1]
      index += 2
      switch kind {
      case UInt8(ascii: "n"): out.append(10)
      case UInt8(ascii: "t"): out.append(9)
      case UInt8(ascii: "r"): out.append(13)
      case UInt8(ascii: "b"): out.append(8)
      case UInt8(ascii: "f"): out.append(12)
      case UInt8(ascii: "u"):
        var value = hex(raw, at: index)
        index += 4
        if value & 0xFC00 == 0xD800 {
          value = 0x10000 + (value & 0x3FF) << 10 + hex(raw, at: index + 2) & 0x3FF
          index += 6
        }
        if let scalar = Unicode.Scalar(value) { out.append(contentsOf: UTF8.encode(scalar)!) }
      default: out.append(kind)  // quote, backslash, slash
      }
    }
  }

  /// Four hexadecimal digits, proved by the parser.
  private static func hex(_ raw: Span<UInt8>, at index: Int) -> UInt32 {
    (index..<index + 4).reduce(0) { $0 << 4 | UInt32(digit(raw[$1])!) }
  }

  static func digit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}

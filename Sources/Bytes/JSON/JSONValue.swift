/// A value of a parsed JSON text: a light reference into the document's flat arena.
///
/// Accessors throw `TYPE` naming the file, the key and the byte offset when the value is of another kind, so a reader of a
/// configuration is a list of `try config["hidden_size"].int()`.
public struct JSONValue: Sendable {
  public enum Kind: UInt8, Sendable {
    case null, bool, number, string, array, object
  }

  let document: JSONDocument
  let index: Int

  private var node: JSONDocument.Node { document.nodes[index] }

  public var kind: Kind { node.kind }
  public var isNull: Bool { kind == .null }
  /// Where the value begins in the file.
  public var offset: UInt64 { UInt64(document.base) + UInt64(node.start) }
  public var file: String? { document.file }

  // MARK: Scalars

  public func bool(_ subject: String? = nil) throws(InputError) -> Bool {
    guard kind == .bool else { throw mismatch("true or false", subject) }
    return document.bytes[Int(node.start)] == UInt8(ascii: "t")
  }

  /// A whole number written without fraction or exponent: `16`, never `16.0`.
  public func int(_ subject: String? = nil) throws(InputError) -> Int {
    guard kind == .number, let value = document.digits(of: node) ?? Int(text) else {
      throw mismatch("a whole number", subject)
    }
    return value
  }

  /// A whole number in `range`.
  public func int(in range: ClosedRange<Int>, _ subject: String? = nil) throws(InputError) -> Int {
    let value = try int(subject)
    guard range.contains(value) else {
      throw InputError(
        .limit, "a number from \(range.lowerBound) to \(range.upperBound) expected, found \(value)", file: file,
        subject: subject, offset: offset)
    }
    return value
  }

  /// A whole number of 64 bits without sign; for sizes and offsets, which are then checked with `SizeArithmetic`.
  /// - Throws: `OVERFLOW` when it is whole but larger, `TYPE` when it is no such number.
  public func uint64(_ subject: String? = nil) throws(InputError) -> UInt64 {
    let digits = text
    guard kind == .number, digits.utf8.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }) else {
      throw mismatch("a whole number that is not negative", subject)
    }
    guard let value = UInt64(digits) else {
      throw InputError(.overflow, "\(digits) does not fit 64 bits", file: file, subject: subject, offset: offset)
    }
    return value
  }

  /// Any finite number.
  public func double(_ subject: String? = nil) throws(InputError) -> Double {
    guard kind == .number, let value = Double(text), value.isFinite else { throw mismatch("a number", subject) }
    return value
  }

  public func string(_ subject: String? = nil) throws(InputError) -> String {
    guard kind == .string else { throw mismatch("a string", subject) }
    return String(decoding: document.content(of: node), as: UTF8.self)
  }

  /// The string's UTF-8, escapes resolved, appended to `arena`; for vocabularies, which must not become `String` keys.
  public func appendUTF8(to arena: inout [UInt8], _ subject: String? = nil) throws(InputError) {
    guard kind == .string else { throw mismatch("a string", subject) }
    document.append(node, to: &arena)
  }

  /// The UTF-8 of the two strings of an array, one after the other, appended to `arena`; for lists of merges.
  /// - Returns: where the second begins; `nil`, and nothing appended, when this is no array of two strings.
  package func appendPair(to arena: inout [UInt8]) -> Int? {
    guard kind == .array, count == 2, document.nodes[index + 1].kind == .string,
      document.nodes[index + 2].kind == .string
    else { return nil }
    document.append(document.nodes[index + 1], to: &arena)
    let middle = arena.count
    document.append(document.nodes[index + 2], to: &arena)
    return middle
  }

  // MARK: Containers

  /// The member called `key`; `nil` when there is none or this is no object.
  public subscript(key: String) -> JSONValue? {
    guard kind == .object else { return nil }
    var child = index + 1
    let end = Int(node.next)
    while child < end {
      let value = child + 1
      if document.node(child, equals: key) { return JSONValue(document: document, index: value) }
      child = Int(document.nodes[value].next)
    }
    return nil
  }

  /// The member called `key`, which must be there.
  public func required(_ key: String) throws(InputError) -> JSONValue {
    guard let value = self[key] else {
      guard kind == .object else { throw mismatch("an object", nil) }
      throw InputError(.missing, "the field is missing", file: file, subject: key, offset: offset)
    }
    return value
  }

  /// The member called `key` unless it is absent or null.
  public func optional(_ key: String) -> JSONValue? {
    guard let value = self[key], !value.isNull else { return nil }
    return value
  }

  /// Elements of an array or members of an object; 0 for a scalar.
  public var count: Int { kind == .array || kind == .object ? Int(node.extent) : 0 }

  /// The elements of an array, in order.
  public func elements(_ subject: String? = nil) throws(InputError) -> Elements {
    guard kind == .array else { throw mismatch("an array", subject) }
    return Elements(document: document, position: index + 1, end: Int(node.next))
  }

  /// The members of an object, in the order of the file. Keys are unique.
  public func members(_ subject: String? = nil) throws(InputError) -> Members {
    guard kind == .object else { throw mismatch("an object", subject) }
    return Members(elements: Elements(document: document, position: index + 1, end: Int(node.next)))
  }

  public struct Elements: Sequence, IteratorProtocol, Sendable {
    let document: JSONDocument
    var position: Int
    let end: Int

    public mutating func next() -> JSONValue? {
      guard position < end else { return nil }
      defer { position = Int(document.nodes[position].next) }
      return JSONValue(document: document, index: position)
    }
  }

  public struct Members: Sequence, IteratorProtocol, Sendable {
    var elements: Elements

    /// `key` is a string value; its text is made only when asked for.
    public mutating func next() -> (key: JSONValue, value: JSONValue)? {
      guard let key = elements.next(), let value = elements.next() else { return nil }
      return (key, value)
    }
  }

  /// The error that this value is not what `expected` says.
  public func mismatch(_ expected: String, _ subject: String?) -> InputError {
    let found =
      switch kind {
      case .null: "null"
      case .bool, .number: text
      case .string: "a string"
      case .array: "an array"
      case .object: "an object"
      }
    return InputError(.type, "\(expected) expected, found \(found)", file: file, subject: subject, offset: offset)
  }

  private var text: String { String(decoding: document.content(of: node), as: UTF8.self) }
}

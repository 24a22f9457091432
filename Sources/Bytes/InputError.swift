/// Why bytes from outside were refused: a file's content is wrong, unsupported or missing.
///
/// Every reader throws this one type, so that every message names the same things in the same order: file, subject
/// (a tensor, a key), byte offset, what was expected, what was found and what the user can do.
public struct InputError: Error, Hashable, Sendable {
  /// The law of the format that was broken. The raw value is stable and appears in brackets at the end of a message.
  public enum Code: String, Sendable, CaseIterable {
    case truncated = "TRUNC"
    case magic = "MAGIC"
    case version = "VERSION"
    case limit = "LIMIT"
    case duplicate = "DUP"
    case utf8 = "UTF8"
    case json = "JSON"
    case yaml = "YAML"
    case type = "TYPE"
    case shape = "SHAPE"
    case overflow = "OVERFLOW"
    case bounds = "BOUNDS"
    case overlap = "OVERLAP"
    case gap = "GAP"
    case alignment = "ALIGN"
    case name = "NAME"
    case opcode = "OPCODE"
    case global = "GLOBAL"
    case pickle = "PICKLE"
    case zip = "ZIP"
    case checksum = "CRC"
    case endian = "ENDIAN"
    case path = "PATH"
    case missing = "MISSING"
    case changed = "CHANGED"
    case nonFinite = "NONFINITE"
    case unsupported = "UNSUPPORTED"
    case locked = "LOCKED"
  }

  public var code: Code
  /// What is wrong, in words: what was expected and what was found.
  public var problem: String
  /// The path as the user gave it.
  public var file: String?
  /// The tensor, key or field concerned.
  public var subject: String?
  /// Byte position in `file`.
  public var offset: UInt64?
  /// What the user can do about it.
  public var remedy: String?

  public init(
    _ code: Code, _ problem: String, file: String? = nil, subject: String? = nil, offset: UInt64? = nil,
    remedy: String? = nil
  ) {
    self.code = code
    self.problem = problem
    self.file = file
    self.subject = subject
    self.offset = offset
    self.remedy = remedy
  }

  /// The same error, with what a caller knows filled in where it was still empty.
  public func adding(
    file: String? = nil, subject: String? = nil, offset: UInt64? = nil, remedy: String? = nil
  ) -> InputError {
    var error = self
    error.file = error.file ?? file
    error.subject = error.subject ?? subject
    error.offset = error.offset ?? offset
    error.remedy = error.remedy ?? remedy
    return error
  }
}

extension InputError: CustomStringConvertible {
  /// One line: `file: "subject": at byte N: problem; remedy [CODE]`. Control characters from outside are escaped.
  public var description: String {
    var parts: [String] = []
    if let file { parts.append(printable(file)) }
    if let subject { parts.append("\"\(printable(subject))\"") }
    if let offset { parts.append("at byte \(offset)") }
    parts.append(printable(problem, limit: 400) + (remedy.map { "; " + printable($0, limit: 400) } ?? ""))
    return parts.joined(separator: ": ") + " [\(code.rawValue)]"
  }
}

/// An operation of the system failed: reading, writing, syncing. Kept apart from `InputError`, so that a handler of bad
/// data can never swallow a failed write.
public struct SystemError: Error, Hashable, Sendable, CustomStringConvertible {
  public var operation: String
  public var path: String
  public var errno: Int32
  /// What the user can do about it.
  public var remedy: String?

  public init(_ operation: String, path: String, errno: Int32, remedy: String? = nil) {
    self.operation = operation
    self.path = path
    self.errno = errno
    self.remedy = remedy
  }

  public var description: String {
    "\(printable(path)): cannot \(operation): \(SystemCalls.message(errno))" + (remedy.map { "; \($0)" } ?? "")
  }
}

/// `text` on one line and of bounded length: control characters as `\u{..}`, the middle cut out beyond `limit` scalars.
public func printable(_ text: String, limit: Int = 200) -> String {
  var out = ""
  for (index, scalar) in text.unicodeScalars.enumerated() {
    if index == limit { return out + "…" }
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator:
      out += "\\u{\(String(scalar.value, radix: 16))}"
    default: out.unicodeScalars.append(scalar)
    }
  }
  return out
}

import Bytes

/// Digests of files as `md5sum` and `sha256sum` print them, a line a file.
struct ChecksumList: Sendable {
  /// In the order of the list; no name is there twice.
  let entries: [(name: String, digest: [UInt8])]

  /// - Parameter what: the digest's name, for messages.
  /// - Throws: `TYPE` for a line that is none, `DUP`; with the offset of the line.
  init(parsing bytes: [UInt8], digestBytes: Int, file: String, what: String) throws(InputError) {
    var entries: [(String, [UInt8])] = []
    var seen: Set<ExactString> = []
    var start = 0
    while start < bytes.count {
      let end = bytes[start...].firstIndex(of: 0x0A) ?? bytes.count
      defer { start = end + 1 }
      var line = bytes[start..<end]
      while let last = line.last, last == 0x0D || last == 0x20 { line = line.dropLast() }
      if line.isEmpty { continue }
      let isEscaped = line.first == UInt8(ascii: "\\")
      if isEscaped { line = line.dropFirst() }
      let rest = line.dropFirst(2 * digestBytes)
      guard let digest = ChecksumList.hexadecimal(line.prefix(2 * digestBytes), digestBytes), rest.count > 2,
        rest.first == 0x20, rest.dropFirst().first == 0x20 || rest.dropFirst().first == UInt8(ascii: "*"),
        var name = String(validating: rest.dropFirst(2), as: UTF8.self)
      else {
        throw InputError(
          .type, "a line of \(what) in hexadecimal, two spaces and a name expected", file: file, offset: UInt64(start),
          remedy: "download the checklist again")
      }
      if isEscaped { name = ChecksumList.unescaped(name) }
      if name.hasPrefix("./") { name.removeFirst(2) }
      guard seen.insert(ExactString(name)).inserted else {
        throw InputError(.duplicate, "the file stands twice in the list", file: file, subject: name)
      }
      entries.append((name, digest))
    }
    self.entries = entries
  }

  /// The line of a file, which `sha256sum -c` accepts: a name with a line's end or a backslash is escaped as it does.
  static func line(_ digest: String, _ name: String) -> String {
    let escaped = name.replacingScalars { scalar in
      switch scalar {
      case "\\": "\\\\"
      case "\n": "\\n"
      case "\r": "\\r"
      default: nil
      }
    }
    return (ExactString(escaped) == ExactString(name) ? "" : "\\") + "\(digest)  \(escaped)\n"
  }

  private static func unescaped(_ name: String) -> String {
    var out: [UInt8] = []
    var bytes = name.utf8.makeIterator()
    while let byte = bytes.next() {
      guard byte == UInt8(ascii: "\\"), let kind = bytes.next() else {
        out.append(byte)
        continue
      }
      out.append(kind == UInt8(ascii: "n") ? 10 : kind == UInt8(ascii: "r") ? 13 : kind)
    }
    return String(decoding: out, as: UTF8.self)
  }

  private static func hexadecimal(_ digits: ArraySlice<UInt8>, _ count: Int) -> [UInt8]? {
    let values = digits.compactMap { Character(Unicode.Scalar($0)).hexDigitValue }
    guard values.count == 2 * count else { return nil }
    return stride(from: 0, to: values.count, by: 2).map { UInt8(values[$0] << 4 | values[$0 + 1]) }
  }
}

import Bytes
import Crypto

extension OutputFile {
  /// Writes a file of text, whole or not at all.
  /// - Throws: as `init` and `publish`.
  static func write(_ text: String, to path: String, overwrites: Bool = true) throws {
    let file = try OutputFile(path, overwrites: overwrites)
    do {
      try file.write(text: text)
      try file.publish()
    } catch {
      file.discard()
      throw error
    }
  }

  func write(text: String) throws {
    let bytes = Array(text.utf8)
    try unsafe write(bytes.span.bytes, at: 0)
  }

  /// The SHA-256 of a range of what is in the file, in hexadecimal.
  func sha256(of range: Range<Int>) throws -> String { hexadecimalText(try digest(of: range)) }

  /// The SHA-256 of a range of what is in the file.
  func digest(of range: Range<Int>) throws -> SHA256Digest {
    var hash = SHA256()
    try unsafe read(range) { unsafe hash.update(bufferPointer: $0) }
    return hash.finalize()
  }
}

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

  /// Shows `visit` a range of what is in the file, piece by piece.
  /// - Throws: `SystemError` when the file ends before; `Interrupted`.
  func read(_ range: Range<Int>, _ visit: (UnsafeRawBufferPointer) -> Void) throws {
    let step = 1 << 20
    var buffer = [UInt8](repeating: 0, count: min(step, range.count))
    for offset in stride(from: range.lowerBound, to: range.upperBound, by: step) {
      try Interruption.check()
      let count = min(step, range.upperBound - offset)
      try unsafe buffer.withUnsafeMutableBytes { buffer in
        let piece = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
        guard try unsafe read(at: offset, into: piece) == count else {
          throw SystemError("read again", path: path, errno: SystemError.inputOutput)
        }
        unsafe visit(UnsafeRawBufferPointer(piece))
      }
    }
  }

  /// The SHA-256 of a range of what is in the file, in hexadecimal.
  func sha256(of range: Range<Int>) throws -> String {
    var hash = SHA256()
    try unsafe read(range) { unsafe hash.update(bufferPointer: $0) }
    return hexadecimalText(hash.finalize())
  }
}

import Bytes

/// The fields of a message in protobuf's wire format (protobuf.dev, "Encoding"), one after the other.
///
/// Only what a file needs: varints, 32- and 64-bit values and byte strings; groups are refused. Nothing is copied until a
/// caller asks for it, and no length reaches beyond the message that holds it.
struct WireReader {
  enum Value {
    case varint(UInt64)
    case fixed64(UInt64)
    case bytes(Range<Int>)
    case fixed32(UInt32)
  }

  private let bytes: [UInt8]
  private let file: String?
  private var position: Int
  private let end: Int

  init(_ bytes: [UInt8], _ range: Range<Int>, file: String?) {
    self.bytes = bytes
    self.file = file
    position = range.lowerBound
    end = range.upperBound
  }

  /// Where the next field begins.
  var offset: Int { position }

  mutating func next() throws(InputError) -> (field: Int, value: Value)? {
    guard position < end else { return nil }
    let key = try varint()
    guard key >> 3 > 0, key >> 3 < 1 << 29 else { throw wrong("field number \(key >> 3)") }
    switch key & 7 {
    case 0: return (Int(key >> 3), .varint(try varint()))
    case 1: return (Int(key >> 3), .fixed64(try fixed(8)))
    case 2:
      let length = try varint()
      guard length <= UInt64(end - position) else { throw truncated("a field of \(length) bytes") }
      defer { position += Int(length) }
      return (Int(key >> 3), .bytes(position..<position + Int(length)))
    case 5: return (Int(key >> 3), .fixed32(UInt32(truncatingIfNeeded: try fixed(4))))
    default: throw wrong("wire type \(key & 7)")
    }
  }

  private mutating func varint() throws(InputError) -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: 0, to: 64, by: 7) {
      guard position < end else { throw truncated("a number") }
      let byte = bytes[position]
      position += 1
      value |= UInt64(byte & 0x7F) << UInt64(shift)
      if byte < 0x80 { return value }
    }
    throw wrong("a number of more than ten bytes")
  }

  private mutating func fixed(_ size: Int) throws(InputError) -> UInt64 {
    guard end - position >= size else { throw truncated("a value of \(size) bytes") }
    defer { position += size }
    return (0..<size).reduce(0) { $0 | UInt64(bytes[position + $1]) << UInt64(8 * $1) }
  }

  func wrong(_ problem: String) -> InputError {
    InputError(.type, "no SentencePiece model: \(problem)", file: file, offset: UInt64(position))
  }

  private func truncated(_ what: String) -> InputError {
    InputError(
      .truncated, "\(what) reaches beyond its message", file: file, offset: UInt64(position),
      remedy: "download the file again")
  }
}

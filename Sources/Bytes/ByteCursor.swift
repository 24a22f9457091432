/// Reads little-endian values from the front of a buffer and never past its end.
///
/// ```swift
/// var cursor = ByteCursor(bytes, file: path)
/// let count = try cursor.uint64("tensor count")
/// ```
///
/// Each method names what it reads, so that an error says what was cut off and where.
public struct ByteCursor: Sendable {
  private let bytes: [UInt8]
  private let file: String?
  private let base: Int
  /// Position in the buffer.
  public private(set) var position: Int

  /// - Parameter base: the offset in `file` of the first byte of `bytes`, for messages.
  public init(_ bytes: [UInt8], file: String? = nil, base: Int = 0) {
    self.bytes = bytes
    self.file = file
    self.base = base
    position = 0
  }

  public var remaining: Int { bytes.count - position }
  /// Position in the file.
  public var fileOffset: UInt64 { UInt64(base + position) }

  public mutating func uint8(_ what: @autoclosure () -> String) throws(InputError) -> UInt8 { try integer(what) }
  public mutating func uint16(_ what: @autoclosure () -> String) throws(InputError) -> UInt16 { try integer(what) }
  public mutating func uint32(_ what: @autoclosure () -> String) throws(InputError) -> UInt32 { try integer(what) }
  public mutating func uint64(_ what: @autoclosure () -> String) throws(InputError) -> UInt64 { try integer(what) }

  /// The next `count` bytes. `count` is untrusted and checked before anything is allocated.
  public mutating func take(_ count: UInt64, _ what: @autoclosure () -> String) throws(InputError) -> ArraySlice<UInt8>
  {
    guard count <= UInt64(remaining) else { throw truncated(what(), count) }
    defer { position += Int(count) }
    return bytes[position..<position + Int(count)]
  }

  /// The next `count` bytes as text that must be valid UTF-8.
  public mutating func string(_ count: UInt64, _ what: @autoclosure () -> String) throws(InputError) -> String {
    let offset = fileOffset
    guard let text = String(validating: try take(count, what()), as: UTF8.self) else {
      throw InputError(.utf8, "\(what()) is not valid UTF-8", file: file, offset: offset)
    }
    return text
  }

  public mutating func integer<T: FixedWidthInteger>(_ what: () -> String) throws(InputError) -> T {
    let size = MemoryLayout<T>.size
    guard remaining >= size else { throw truncated(what(), UInt64(size)) }
    var value: T = 0
    for index in 0..<size { value |= T(truncatingIfNeeded: bytes[position + index]) << T(8 * index) }
    position += size
    return value
  }

  private func truncated(_ what: String, _ count: UInt64) -> InputError {
    InputError(
      .truncated, "\(what) needs \(count) bytes, \(remaining) are left", file: file, offset: fileOffset,
      remedy: "download the file again")
  }
}

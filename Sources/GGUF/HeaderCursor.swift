import Bytes

/// Reads the header of a file front to back through a small buffer.
///
/// Every length is checked against what the file still holds before anything is allocated, so a header costs memory in
/// proportion to the bytes it really has. Numbers are taken as they lie: the format is little-endian, and so is every
/// machine that Swift runs on.
struct HeaderCursor {
  let file: RandomAccessFile
  private var buffer: [UInt8] = []
  /// Next byte in `buffer`.
  private var position = 0
  /// Offset in the file of `buffer[0]`.
  private var base = 0
  private static let chunk = 1 << 18

  init(_ file: RandomAccessFile) { self.file = file }

  var offset: Int { base + position }
  /// Bytes that the file still holds.
  var remaining: Int { file.size - offset }

  /// - Throws: `TRUNC` when fewer than `count` bytes are left, `LIMIT` when they would pass the longest header.
  func check(_ count: UInt64, _ what: @autoclosure () -> String) throws(InputError) {
    guard count <= UInt64(remaining) else {
      throw fail(
        .truncated, "\(what()) needs \(count) bytes, the file has \(remaining) more", remedy: "download the file again")
    }
    guard count <= UInt64(max(0, GGUFFormat.maximumHeaderBytes - offset)) else {
      throw fail(.limit, "\(what()) makes the header longer than \(GGUFFormat.maximumHeaderBytes) bytes")
    }
  }

  /// - Parameter offset: the byte that is wrong, if not the next one.
  func fail(
    _ code: InputError.Code, _ problem: String, at offset: Int? = nil, remedy: String? = nil
  ) -> InputError {
    InputError(code, problem, file: file.path, offset: UInt64(offset ?? self.offset), remedy: remedy)
  }

  mutating func uint32(_ what: @autoclosure () -> String) throws -> UInt32 { try integer(what()) }
  mutating func uint64(_ what: @autoclosure () -> String) throws -> UInt64 { try integer(what()) }

  mutating func integer<T: FixedWidthInteger>(_ what: @autoclosure () -> String) throws -> T {
    let size = MemoryLayout<T>.size
    try fill(size, what())
    defer { position += size }
    return HeaderCursor.integer(buffer.span, at: position)
  }

  mutating func bytes(_ count: Int, _ what: @autoclosure () -> String) throws -> [UInt8] {
    try fill(count, what())
    defer { position += count }
    return Array(buffer[position..<position + count])
  }

  /// A string with its length before it.
  mutating func string(_ what: @autoclosure () -> String) throws -> String {
    let start = offset
    let length = try uint64("the length of \(what())")
    try check(length, what())
    try fill(Int(length), what())
    guard let text = HeaderCursor.text(buffer.span, position..<position + Int(length)) else {
      throw fail(.utf8, "\(what()) is not valid UTF-8", at: start)
    }
    position += Int(length)
    return text
  }

  /// `count` strings. Those that lie whole in the buffer are decoded without another check of the file.
  mutating func strings(_ count: UInt64, _ what: @autoclosure () -> String) throws -> [String] {
    try check(count * 8, what())  // cannot wrap: count is at most 2^30
    var strings: [String] = []
    strings.reserveCapacity(Int(count))
    while strings.count < Int(count) {
      let bytes = buffer  // outlives the span, so that `self` may change
      let span = bytes.span
      while strings.count < Int(count), span.count - position >= 8 {
        let length: UInt64 = HeaderCursor.integer(span, at: position)
        guard length <= UInt64(span.count - position - 8) else { break }
        let range = position + 8..<position + 8 + Int(length)
        guard let text = HeaderCursor.text(span, range) else {
          throw fail(.utf8, "\(what())[\(strings.count)] is not valid UTF-8")
        }
        strings.append(text)
        position = range.upperBound
      }
      if strings.count < Int(count) { strings.append(try string("\(what())[\(strings.count)]")) }
    }
    return strings
  }

  /// `count` numbers, read straight to where they stay.
  mutating func numbers<T: BitwiseCopyable>(_ count: UInt64, _ what: @autoclosure () -> String) throws -> [T] {
    let size = Int(count) * MemoryLayout<T>.stride  // cannot wrap: count is at most 2^30
    try check(UInt64(size), what())
    let numbers = try unsafe [T](unsafeUninitializedCapacity: Int(count)) { memory, initialized in
      try unsafe file.read(
        at: offset, into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(memory)[..<size]))
      initialized = Int(count)
    }
    position += size
    if position > buffer.count {
      base += position
      position = 0
      buffer = []
    }
    return numbers
  }

  /// Sees to it that `count` bytes from `position` on are in the buffer.
  private mutating func fill(_ count: Int, _ what: @autoclosure () -> String) throws {
    if buffer.count - position >= count { return }
    try check(UInt64(count), what())
    base += position
    position = 0
    buffer = try file.read(at: base, count: min(max(count, HeaderCursor.chunk), file.size - base))
  }

  private static func integer<T: FixedWidthInteger>(_ span: Span<UInt8>, at position: Int) -> T {
    var value: T = 0
    for index in 0..<MemoryLayout<T>.size { value |= T(truncatingIfNeeded: span[position + index]) << T(8 * index) }
    return value
  }

  private static func text(_ span: Span<UInt8>, _ range: Range<Int>) -> String? {
    guard let text = try? UTF8Span(validating: span.extracting(range)) else { return nil }
    return String(copying: text)
  }
}

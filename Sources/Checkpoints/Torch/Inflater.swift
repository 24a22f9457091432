import Bytes
import CZlib

/// CRC-32 (ISO 3309, the one of zip) of bytes that come in pieces.
struct CRC32 {
  private(set) var value: UInt32 = 0

  mutating func update(_ bytes: UnsafeRawBufferPointer) {
    guard let start = bytes.baseAddress else { return }
    value = unsafe UInt32(
      truncatingIfNeeded: crc32_z(uLong(value), start.assumingMemoryBound(to: Bytef.self), bytes.count))
  }
}

/// A raw deflate stream (RFC 1951) being decoded, at one point of its output. A copy goes on from the same point.
///
/// Not safe to use from two threads at once; whoever owns one keeps it under a lock.
@safe final class Inflater: @unchecked Sendable {
  /// On the heap, because zlib remembers where it lies.
  private let stream: UnsafeMutablePointer<z_stream>

  init() throws(InputError) {
    unsafe stream = .allocate(capacity: 1)
    unsafe stream.initialize(to: z_stream())
    let result = unsafe inflateInit2_(stream, -15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    guard result == Z_OK else { throw Inflater.outOfMemory() }
  }

  private init(copying other: Inflater) throws(InputError) {
    unsafe stream = .allocate(capacity: 1)
    unsafe stream.initialize(to: z_stream())
    guard unsafe inflateCopy(stream, other.stream) == Z_OK else { throw Inflater.outOfMemory() }
  }

  deinit {
    unsafe inflateEnd(stream)
    unsafe stream.deallocate()
  }

  func copy() throws(InputError) -> Inflater { try Inflater(copying: self) }

  /// Decodes from `input` into `output` until one of them is used up or the stream ends.
  /// - Throws: `ZIP` when the bytes are no deflate stream.
  func decode(
    _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(InputError) -> (consumed: Int, produced: Int, ended: Bool) {
    let inputCount = min(input.count, 1 << 30)
    let outputCount = min(output.count, 1 << 30)
    unsafe stream.pointee.next_in = unsafe UnsafeMutablePointer(
      mutating: input.baseAddress?.assumingMemoryBound(to: Bytef.self))
    unsafe stream.pointee.avail_in = uInt(inputCount)
    unsafe stream.pointee.next_out = unsafe output.baseAddress?.assumingMemoryBound(to: Bytef.self)
    unsafe stream.pointee.avail_out = uInt(outputCount)
    let result = unsafe inflate(stream, Z_NO_FLUSH)
    let consumed = unsafe inputCount - Int(stream.pointee.avail_in)
    let produced = unsafe outputCount - Int(stream.pointee.avail_out)
    unsafe stream.pointee.next_in = nil
    unsafe stream.pointee.next_out = nil
    switch result {
    case Z_OK, Z_BUF_ERROR: return (consumed, produced, false)
    case Z_STREAM_END: return (consumed, produced, true)
    case Z_MEM_ERROR: throw Inflater.outOfMemory()
    default: throw InputError(.zip, "damaged deflate data")
    }
  }

  private static func outOfMemory() -> InputError { InputError(.limit, "no memory to decode deflate data") }
}

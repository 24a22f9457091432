import Bytes
import Crypto

/// A file of records that is only added to, and that shows where a kill or a bad disk spoilt it.
///
/// 16 bytes of magic, then records: u64 bytes (little-endian), the bytes, and the SHA-256 of the previous record's digest and
/// these bytes. The first record says whose file it is; every other is u32 length of a name, the name, and what it stands
/// for. A record that is cut short or does not have its sum, and all after it, do not count.
struct RecordFile: Sendable {
  let path: String
  private let descriptor: Int32
  private(set) var records: [RunState.Record] = []
  /// The first record.
  private(set) var identity: [UInt8] = []
  /// Where the next record goes.
  private var end = 0
  /// Of the last record.
  private var digest: [UInt8] = []

  private static let magic = Array("quern-run-state\n".utf8)
  /// A name in a record, and an identity, are shorter.
  private static let shortLimit = 1 << 16

  /// A new file in the place of the one at `path`, if there is one, as soon as all of it is on the disk.
  /// - Parameter parts: each asked for its bytes when they are written.
  init(
    replacing path: String, identity: [UInt8], parts: [(name: String, bytes: () throws -> [UInt8])]
  ) throws {
    let temporary = path + ".partial"
    try? SystemCalls.unlink(temporary)  // left by a killed run: whose output it is holds the output's lock
    (self.path, self.identity, descriptor) = (path, identity, try SystemCalls.create(temporary))
    do {
      _ = SystemCalls.lock(descriptor)
      try write(RecordFile.magic)
      try writeRecord(identity)
      for part in parts { try append(part.name, part.bytes()) }
      try sync()
      try SystemCalls.rename(temporary, to: path)
    } catch {
      try? SystemCalls.unlink(temporary)
      close()
      throw error
    }
  }

  /// The file at `path`, with no records yet: they are read when it is known whose they are.
  /// - Throws: `InputError` `LOCKED` when another process has it, `PATH` when it is something else.
  init(opening path: String) throws {
    (self.path, descriptor) = (path, try SystemCalls.openForUpdating(path))
    do {
      guard SystemCalls.lock(descriptor) else {
        throw InputError(
          .locked, "another process is making the output that this belongs to", file: path,
          remedy: "wait for it, or write to another name")
      }
      end = RecordFile.magic.count
      guard try bytes(at: 0, count: end) == RecordFile.magic, let found = try nextRecord(),
        found.count < RecordFile.shortLimit
      else {
        throw InputError(
          .path, "is in the way: the state of the run would be kept there", file: path,
          remedy: "move it, or write to another name")
      }
      identity = found
    } catch {
      close()
      throw error
    }
  }

  var byteCount: Int { end }

  /// The descriptor is no longer used.
  func close() { try? SystemCalls.close(descriptor, path: path) }

  /// Reads all records that count, and cuts off the rest.
  mutating func readRecords() throws {
    while true {
      let start = end
      guard let payload = try nextRecord() else { break }
      guard payload.count >= 4 else { throw damaged }
      let length = integer(payload[..<4])
      guard length < RecordFile.shortLimit, payload.count - 4 >= length else { throw damaged }
      records.append(
        RunState.Record(
          name: String(decoding: payload[4..<4 + length], as: UTF8.self), offset: start + 8 + 4 + length,
          count: payload.count - 4 - length))
    }
    try SystemCalls.truncate(descriptor, to: end, path: path)
  }

  func read(_ record: RunState.Record) throws -> [UInt8]? { try bytes(at: record.offset, count: record.count) }

  /// Adds a record, which is on the disk after the next `sync()`.
  mutating func append(_ name: String, _ bytes: [UInt8]) throws {
    let name = Array(name.utf8)
    precondition(name.count < RecordFile.shortLimit, "an overlong name")
    try writeRecord(littleEndian(name.count, bytes: 4) + name + bytes)
    records.append(
      RunState.Record(
        name: String(decoding: name, as: UTF8.self), offset: end - 32 - bytes.count, count: bytes.count))
  }

  func sync() throws { try SystemCalls.sync(descriptor, path: path) }

  private mutating func writeRecord(_ payload: [UInt8]) throws {
    let start = end
    let sum = sum(of: payload)
    do {
      for part in [littleEndian(payload.count, bytes: 8), payload, sum] { try write(part) }
    } catch {
      end = start
      throw error
    }
    digest = sum
  }

  private mutating func write(_ bytes: [UInt8]) throws {
    try unsafe bytes.withUnsafeBytes { try unsafe SystemCalls.write(descriptor, $0, at: end, path: path) }
    end += bytes.count
  }

  /// Of a record that follows the last one.
  private func sum(of payload: [UInt8]) -> [UInt8] {
    var hash = SHA256()
    hash.update(data: digest)
    hash.update(data: payload)
    return Array(hash.finalize())
  }

  /// The record at `end`, which moves behind it; `nil` where no whole record is.
  private mutating func nextRecord() throws -> [UInt8]? {
    let left = try SystemCalls.status(of: descriptor, path: path).size - end - 40
    guard left >= 0, let head = try bytes(at: end, count: 8), head[7] == 0,
      case let count = integer(head[...]), count <= left,
      let payload = try bytes(at: end + 8, count: count), let sum = try bytes(at: end + 8 + count, count: 32),
      sum == self.sum(of: payload)
    else { return nil }
    end += 40 + count
    digest = sum
    return payload
  }

  private func bytes(at offset: Int, count: Int) throws -> [UInt8]? {
    let bytes = try unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      initialized = try unsafe SystemCalls.read(
        descriptor, into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count]),
        at: offset, path: path)
    }
    return bytes.count == count ? bytes : nil
  }

  private var damaged: InputError {
    InputError(.checksum, "it is damaged", file: path, remedy: "start again with --no-resume")
  }

  private func littleEndian(_ value: Int, bytes: Int) -> [UInt8] {
    (0..<bytes).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }

  /// Of at most 7 bytes that are not 0.
  private func integer(_ bytes: ArraySlice<UInt8>) -> Int { bytes.reversed().reduce(0) { $0 << 8 | Int($1) } }
}

import Bytes
import Crypto

/// What a long run has done so far, in a file beside its output, so that the same command goes on after a kill. Removed when
/// the run has ended well.
///
/// The file: 16 bytes of magic, then records: u64 bytes (little-endian), the bytes, and the SHA-256 of the previous record's
/// digest and these bytes. The first record says what the run is: an identity of named values, against which the next run
/// holds its own. Every other record is u32 length of a name, the name, and what was done. A record cut short by the kill,
/// and all after it, do not count.
///
/// One process at a time; not to be used from two threads at once.
public final class RunState {
  /// Something that was done.
  public struct Record: Sendable {
    public let name: String
    fileprivate let offset: Int
    fileprivate let count: Int
  }

  public let path: String
  /// What an earlier run of the same identity left, in its order, and what was added since.
  public private(set) var records: [Record] = []

  private let identity: [UInt8]
  /// `nil` until something is written.
  private var descriptor: Int32?
  private var end = 0
  private var digest: [UInt8] = []

  private static let magic = Array("quern-run-state\n".utf8)
  /// A name in a record, and an identity, are shorter.
  private static let shortLimit = 1 << 16

  /// - Parameters:
  ///   - output: the run's output; the file is `output.resume`.
  ///   - identity: all that decides the output; names are told when values differ.
  ///   - resumes: whether to go on with what is there; else it is removed.
  /// - Throws: `InputError` `PATH` when something else is at the path, another process is using it, or the run that left it
  ///   was another one.
  public init(beside output: String, identity: [(name: String, value: String)], resumes: Bool = true) throws {
    path = output + ".resume"
    self.identity = Array(identity.map { "\($0.name) \($0.value)\n" }.joined().utf8)
    guard let status = try SystemCalls.status(at: path) else { return }
    guard status.isRegular else { throw InputError(.path, "is not a regular file", file: path) }
    let descriptor = try SystemCalls.openForUpdating(path)
    do {
      guard SystemCalls.lock(descriptor) else {
        throw InputError(
          .path, "another process is making the output that this belongs to", file: path,
          remedy: "wait for it, or write to another name")
      }
      let found = try readIdentity(descriptor, size: status.size)
      if resumes {
        try check(found, against: identity)
        try readRecords(descriptor, size: status.size)
      } else {
        try SystemCalls.unlink(path)
      }
    } catch {
      try? SystemCalls.close(descriptor, path: path)
      throw error
    }
    if resumes { self.descriptor = descriptor } else { try SystemCalls.close(descriptor, path: path) }
  }

  deinit { if let descriptor { try? SystemCalls.close(descriptor, path: path) } }

  public func first(_ name: String) -> Record? { records.first { $0.name == name } }

  public func read(_ record: Record) throws -> [UInt8] {
    guard let descriptor, let bytes = try bytes(descriptor, at: record.offset, count: record.count) else {
      throw InputError(
        .changed, "it was cut short while it was used", file: path, remedy: "start again with --no-resume")
    }
    return bytes
  }

  /// Adds a record; it is on the disk when this returns.
  public func append(_ name: String, _ bytes: [UInt8]) throws {
    if descriptor == nil { try replace(with: []) }
    guard let descriptor else { return }
    try write(name, bytes, to: descriptor)
    try SystemCalls.sync(descriptor, path: path)
  }

  /// Replaces all records at once.
  /// - Parameter parts: each asked for its bytes when they are written.
  public func replace(with parts: [(name: String, bytes: () throws -> [UInt8])]) throws {
    let temporary = path + ".partial-\(SystemCalls.processID)"
    try? SystemCalls.unlink(temporary)  // left by a dead process that had our id
    let new = try SystemCalls.create(temporary)
    do {
      _ = SystemCalls.lock(new)
      try unsafe RunState.magic.withUnsafeBytes { try unsafe SystemCalls.write(new, $0, at: 0, path: path) }
      (end, digest, records) = (RunState.magic.count, [], [])
      try writeRecord(identity, to: new)
      for part in parts { try write(part.name, part.bytes(), to: new) }
      try SystemCalls.sync(new, path: path)
      try SystemCalls.rename(temporary, to: path)
    } catch {
      try? SystemCalls.unlink(temporary)
      try? SystemCalls.close(new, path: path)
      throw error
    }
    if let descriptor { try? SystemCalls.close(descriptor, path: path) }
    descriptor = new
  }

  /// The run has ended well: there is nothing to go on with.
  public func remove() throws {
    guard let descriptor else { return }
    self.descriptor = nil
    try SystemCalls.unlink(path)
    try SystemCalls.close(descriptor, path: path)
  }

  private func write(_ name: String, _ bytes: [UInt8], to descriptor: Int32) throws {
    let name = Array(name.utf8)
    precondition(name.count < RunState.shortLimit, "an overlong name")
    try writeRecord(littleEndian(name.count, bytes: 4) + name + bytes, to: descriptor)
    records.append(
      Record(
        name: String(decoding: name, as: UTF8.self), offset: end - 32 - bytes.count, count: bytes.count))
  }

  private func writeRecord(_ payload: [UInt8], to descriptor: Int32) throws {
    let sum = sum(of: payload)
    for part in [littleEndian(payload.count, bytes: 8), payload, sum] {
      try unsafe part.withUnsafeBytes { try unsafe SystemCalls.write(descriptor, $0, at: end, path: path) }
      end += part.count
    }
    digest = sum
  }

  /// Of a record that follows the last one.
  private func sum(of payload: [UInt8]) -> [UInt8] {
    var hash = SHA256()
    hash.update(data: digest)
    hash.update(data: payload)
    return Array(hash.finalize())
  }

  private func readIdentity(_ descriptor: Int32, size: Int) throws -> [UInt8] {
    end = RunState.magic.count
    guard try bytes(descriptor, at: 0, count: end) == RunState.magic,
      let found = try nextRecord(descriptor, size: size), found.count < RunState.shortLimit
    else {
      throw InputError(
        .path, "is in the way: the state of the run would be kept there", file: path,
        remedy: "move it, or write to another name")
    }
    return found
  }

  private func readRecords(_ descriptor: Int32, size: Int) throws {
    while true {
      let start = end
      guard let payload = try nextRecord(descriptor, size: size) else { break }
      guard payload.count >= 4 else { throw damaged }
      let length = integer(payload[..<4])
      guard length < RunState.shortLimit, payload.count - 4 >= length else { throw damaged }
      records.append(
        Record(
          name: String(decoding: payload[4..<4 + length], as: UTF8.self), offset: start + 8 + 4 + length,
          count: payload.count - 4 - length))
    }
    try SystemCalls.truncate(descriptor, to: end, path: path)
  }

  private var damaged: InputError {
    InputError(.checksum, "it is damaged", file: path, remedy: "start again with --no-resume")
  }

  /// The record at `end`, which moves behind it; `nil` where no whole record is.
  private func nextRecord(_ descriptor: Int32, size: Int) throws -> [UInt8]? {
    guard size - end >= 8 + 32, let head = try bytes(descriptor, at: end, count: 8) else { return nil }
    guard head[7] == 0, case let count = integer(head[...]), count <= size - end - 40,
      let payload = try bytes(descriptor, at: end + 8, count: count),
      let sum = try bytes(descriptor, at: end + 8 + count, count: 32),
      sum == self.sum(of: payload)
    else { return nil }
    end += 40 + count
    digest = sum
    return payload
  }

  private func check(_ found: [UInt8], against identity: [(name: String, value: String)]) throws(InputError) {
    guard found != self.identity else { return }
    let theirs = Dictionary(
      String(decoding: found, as: UTF8.self).split(separator: "\n").map { line in
        let parts = line.split(separator: " ", maxSplits: 1)
        return (String(parts.first ?? ""), String(parts.dropFirst().first ?? ""))
      }, uniquingKeysWith: { first, _ in first })
    let different = identity.filter { theirs[$0.name] != $0.value }.map(\.name)
    throw InputError(
      .path, "an unfinished run left it that differs in: \(different.joined(separator: ", "))", file: path,
      remedy: "repeat that run's command to finish it, or start again with --no-resume")
  }

  private func bytes(_ descriptor: Int32, at offset: Int, count: Int) throws -> [UInt8]? {
    let bytes = try unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      initialized = try unsafe SystemCalls.read(
        descriptor, into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count]),
        at: offset, path: path)
    }
    return bytes.count == count ? bytes : nil
  }

  private func littleEndian(_ value: Int, bytes: Int) -> [UInt8] {
    (0..<bytes).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }

  /// Of at most 7 bytes that are not 0.
  private func integer(_ bytes: ArraySlice<UInt8>) -> Int { bytes.reversed().reduce(0) { $0 << 8 | Int($1) } }
}

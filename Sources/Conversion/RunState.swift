import Bytes
import Synchronization

/// What a long run has done so far, in a file beside its output, so that the same command goes on after a kill. Removed when
/// the run has ended well.
///
/// A `RecordFile`: the first record says what the run is, an identity of named values, against which the next run holds its
/// own; every other says what was done.
public final class RunState: Sendable {
  /// Something that was done.
  public struct Record: Sendable {
    public let name: String
    let offset: Int
    let count: Int
  }

  public let path: String
  private let identity: [UInt8]
  /// `nil` until something is written.
  private let file: Mutex<RecordFile?>

  /// - Parameters:
  ///   - output: the run's output; the file is `output.resume`.
  ///   - identity: all that decides the output; names are told when values differ.
  ///   - resumes: whether to go on with what is there; else it is removed.
  ///   - isWorthless: whether what another run did is removed instead of refused; nothing always is.
  /// - Throws: `InputError` `LOCKED` when another process is using it, `PATH` when something else is there, or the run that
  ///   left it was another one.
  public init(
    beside output: String, identity: RunIdentity, resumes: Bool = true,
    isWorthless: ([Record]) -> Bool = { _ in false }
  ) throws {
    path = output + ".resume"
    self.identity = Array(identity.map { "\($0.name) \($0.value)\n" }.joined().utf8)
    file = Mutex(try RunState.open(path, identity, self.identity, resumes, isWorthless))
  }

  deinit { file.withLock { $0?.close() } }

  private static func open(
    _ path: String, _ identity: RunIdentity, _ bytes: [UInt8], _ resumes: Bool, _ isWorthless: ([Record]) -> Bool
  ) throws -> RecordFile? {
    guard let status = try SystemCalls.status(at: path) else { return nil }
    guard status.isRegular else { throw InputError(.path, "is not a regular file", file: path) }
    var file = try RecordFile(opening: path)
    do {
      if resumes {
        try file.readRecords()
        if file.identity == bytes { return file }
        guard file.records.isEmpty || isWorthless(file.records) else {
          throw refusal(of: file.identity, identity, path)
        }
      }
      try SystemCalls.unlink(path)
    } catch {
      file.close()
      throw error
    }
    file.close()
    return nil
  }

  private static func refusal(of found: [UInt8], _ identity: RunIdentity, _ path: String) -> InputError {
    let theirs: RunIdentity = String(decoding: found, as: UTF8.self).split(separator: "\n").map { line in
      let parts = line.split(separator: " ", maxSplits: 1)
      return (String(parts.first ?? ""), String(parts.dropFirst().first ?? ""))
    }
    let different = identity.differences(from: theirs).joined(separator: ", ")
    return InputError(
      .path, "an unfinished run left it that differs in: \(different)", file: path,
      remedy: "repeat that run's command to finish it, or start again with --no-resume")
  }

  /// What an earlier run of the same identity left, in its order, and what was added since.
  public var records: [Record] { file.withLock { $0?.records ?? [] } }

  /// Of the file.
  public var fileBytes: Int { file.withLock { $0?.byteCount ?? 0 } }

  public func first(_ name: String) -> Record? { records.first { $0.name == name } }

  public func read(_ record: Record) throws -> [UInt8] {
    guard let bytes = try file.withLock({ try $0?.read(record) }) else {
      throw InputError(
        .changed, "it was cut short while it was used", file: path, remedy: "start again with --no-resume")
    }
    return bytes
  }

  /// Adds a record; it is on the disk when this returns.
  public func append(_ name: String, _ bytes: [UInt8]) throws {
    try file.withLock { file in
      if file == nil { file = try RecordFile(replacing: path, identity: identity, parts: []) }
      try file?.append(name, bytes)
      try file?.sync()
    }
  }

  /// Replaces all records at once.
  /// - Parameter parts: each asked for its bytes when they are written.
  public func replace(with parts: [(name: String, bytes: () throws -> [UInt8])]) throws {
    try file.withLock { file in
      let new = try RecordFile(replacing: path, identity: identity, parts: parts)
      file?.close()
      file = new
    }
  }

  /// The run has ended well: there is nothing to go on with.
  public func remove() throws {
    try file.withLock { file in
      guard let old = file else { return }
      file = nil
      defer { old.close() }
      try SystemCalls.unlink(path)
    }
  }
}

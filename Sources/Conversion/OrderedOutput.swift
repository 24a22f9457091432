import Bytes
import Crypto
import Dispatch
import Synchronization

/// The output of a conversion, appended in the order of the file, so that its hash is known when the last byte is written.
///
/// Now and then, while the workers go on, what was written is proved to be on the disk and then noted in the run's state: how
/// far the file is whole and the SHA-256 of it up to there. A later run reads that much again, and goes on behind it if the
/// hash is the same.
final class OrderedOutput: Sendable {
  private let file: OutputFile
  private let state: RunState?
  private let interval: Duration
  private let saving = DispatchQueue(label: "quern.output")
  private let end = Mutex(End())

  /// Where the output ends.
  private struct End {
    var hash = SHA256()
    var position = 0
    var isSaving = false
    /// When the last saving ended, and where the output did when it began.
    var saved = ContinuousClock.now
    var savedPosition = 0
    var failure: (any Error)?

    var digest: [UInt8] { Array(hash.finalize()) }
  }

  private static let record = "written"
  /// So many bytes are saved before their time, so that the disk is never far behind.
  private static let bytesInSaving = 1 << 26

  /// Whether a record only says how far a file was written.
  static func isMark(_ record: RunState.Record) -> Bool { record.name == OrderedOutput.record }

  /// - Parameters:
  ///   - state: is told what was written when `interval` has passed since the last time, or much was written since; `nil`
  ///     when nothing is to be gone on with.
  init(_ file: OutputFile, state: RunState?, interval: Duration) {
    (self.file, self.state, self.interval) = (file, state, interval)
  }

  /// Takes over what an earlier run wrote, as far as the state says and the file shows. Empties the file when that is
  /// nothing.
  /// - Parameter isBoundary: whether this run has a piece that begins there.
  /// - Returns: the position behind what is there already.
  func takeOver(_ isBoundary: (Int) -> Bool) throws -> Int {
    if let state, let record = state.records.last(where: OrderedOutput.isMark),
      case let bytes = try state.read(record), bytes.count == 8 + SHA256.byteCount,
      case let position = bytes[..<8].reversed().reduce(0, { $0 << 8 | Int($1) }),
      position <= file.leftBytes, isBoundary(position), let hash = try prefix(position, hashedTo: bytes[8...])
    {
      end.withLock { ($0.hash, $0.position, $0.savedPosition) = (hash, position, position) }
      return position
    }
    try forget()
    if file.leftBytes > 0 { try file.clear() }
    return 0
  }

  /// The hash of the first `count` bytes of the file; `nil` when it is not `digest`.
  private func prefix(_ count: Int, hashedTo digest: ArraySlice<UInt8>) throws -> SHA256? {
    var hash = SHA256()
    var buffer = [UInt8](repeating: 0, count: min(count, 1 << 20))
    for start in stride(from: 0, to: count, by: 1 << 20) {
      try Interruption.check()
      try unsafe buffer.withUnsafeMutableBytes { buffer in
        let part = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(1 << 20, count - start)])
        _ = try unsafe file.read(at: start, into: part)
        unsafe hash.update(bufferPointer: UnsafeRawBufferPointer(part))
      }
    }
    return Array(hash.finalize()) == Array(digest) ? hash : nil
  }

  /// - Throws: what writing throws, now or in the background since the last call.
  func append(_ bytes: [UInt8], at offset: Int) throws {
    try unsafe file.write(bytes.span.bytes, at: offset)
    let reached = try end.withLock { end -> [UInt8]? in
      if let failure = end.failure { throw failure }
      pad(&end, to: offset)
      unsafe bytes.withUnsafeBytes { unsafe end.hash.update(bufferPointer: $0) }
      end.position = offset + bytes.count
      guard state != nil, !end.isSaving,
        end.position - end.savedPosition >= OrderedOutput.bytesInSaving || ContinuousClock.now - end.saved >= interval
      else { return nil }
      (end.isSaving, end.savedPosition) = (true, end.position)
      return (0..<8).map { UInt8(truncatingIfNeeded: end.position >> (8 * $0)) } + end.digest
    }
    if let reached { saving.async { self.save(reached) } }
  }

  private func save(_ reached: [UInt8]) {
    let result = Result {
      try file.settle()
      try state?.append(OrderedOutput.record, reached)
    }
    end.withLock { end in
      (end.isSaving, end.saved) = (false, .now)
      if case .failure(let error) = result { end.failure = error }
    }
  }

  /// The hash of the whole file of `size` bytes, in hexadecimal. Nothing goes on in the background any more.
  func finish(at size: Int) throws -> String {
    wait()
    return try end.withLock { end in
      if let failure = end.failure { throw failure }
      pad(&end, to: size)
      return hexadecimalText(end.digest)
    }
  }

  /// The run failed: keeps what a later one can go on with.
  func abandon(after error: any Error) {
    wait()
    let isKept = state?.records.contains(where: OrderedOutput.isMark) ?? false
    // What is wrong with the input stays wrong, and what is wrong with the disk may be anywhere in the file.
    if isKept, !(error is InputError), !file.isSpoilt, !file.isPublished { return file.keep() }
    file.discard()
    try? forget()
  }

  /// Has the state say that nothing is written, and no more of it than that.
  private func forget() throws {
    guard let state, state.records.contains(where: OrderedOutput.isMark) else { return }
    let others = state.records.filter { !OrderedOutput.isMark($0) }
    if others.isEmpty { return try state.remove() }
    let parts = try others.map { record in
      let bytes = try state.read(record)
      return (name: record.name, bytes: { bytes })
    }
    try state.replace(with: parts)
  }

  private func wait() { saving.sync {} }

  /// Padding is zero on the disk: the file has its size from the start and nothing else wrote there.
  private func pad(_ end: inout End, to offset: Int) {
    if offset > end.position { end.hash.update(data: [UInt8](repeating: 0, count: offset - end.position)) }
    end.position = offset
  }
}

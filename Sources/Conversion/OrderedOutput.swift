import Bytes
import Crypto
import Dispatch
import GGUF
import Synchronization

/// An output, appended in the order of its files, so that the hash of each is known when its last byte is written.
///
/// Now and then, while the workers go on, what was written is proved to be on the disk and then noted in the run's state: how
/// far the output is whole and the SHA-256 of every file up to there. A later run reads that much again, and goes on behind it
/// if the hashes are the same.
///
/// One of several outputs may fail while the others are made: it keeps the error and takes nothing more.
final class OrderedOutput: Sendable {
  private let output: OutputSet
  private let layouts: [GGUFLayout]
  private let state: RunState?
  private let interval: Duration
  private let saving = DispatchQueue(label: "quern.output")
  private let end = Mutex(End())

  /// Where the output ends.
  private struct End {
    /// Number of the file, bytes of all before it, and the position in it.
    var file = 0
    var start = 0
    var position = 0
    /// Of the file up to there, and of all before it.
    var hash = SHA256()
    var digests: [[UInt8]] = []
    /// The first file with something in it that no saving has settled.
    var unsettled = 0
    var isSaving = false
    /// When the last saving ended, and where the output did when it began.
    var saved = ContinuousClock.now
    var savedPosition = 0
    var failure: (any Error)?

    var mark: [UInt8] {
      (0..<8).map { UInt8(truncatingIfNeeded: (start + position) >> (8 * $0)) } + digests.joined() + hash.finalize()
    }

    mutating func add(_ bytes: [UInt8]) {
      unsafe bytes.withUnsafeBytes { unsafe hash.update(bufferPointer: $0) }
      position += bytes.count
    }
  }

  private static let record = "written"
  /// So many bytes are saved before their time, so that the disk is never far behind.
  private static let bytesInSaving = 1 << 26

  /// Whether a record only says how far an output was written.
  static func isMark(_ record: RunState.Record) -> Bool { record.name == OrderedOutput.record }

  /// - Parameters:
  ///   - layouts: of the files.
  ///   - state: is told what was written when `interval` has passed since the last time, or much was written since; `nil`
  ///     when nothing is to be gone on with.
  init(_ output: OutputSet, _ layouts: [GGUFLayout], state: RunState? = nil, interval: Duration = .seconds(1)) {
    precondition(output.files.count == layouts.count, "a layout for every file")
    (self.output, self.layouts, self.state, self.interval) = (output, layouts, state, interval)
  }

  /// Takes over what an earlier run wrote, as far as the state says and the files show, and empties them of the rest; gives
  /// them their sizes and what is new its first header.
  /// - Parameters:
  ///   - others: bytes that will be written to the same file system beside it.
  ///   - isBoundary: whether this run has a piece that begins there, all files counted through.
  /// - Returns: the position behind what is there already; 0 when nothing is.
  func begin(others: Int = 0, _ isBoundary: (Int) -> Bool = { _ in false }) throws -> Int {
    let found = try earlier(isBoundary)
    if found == nil {
      try forget()
      try output.clear()
    }
    try output.reserve(layouts.map(\.fileSize), others: others)
    return try end.withLock { end in
      if let found { end = found } else { try writeHeader(&end) }
      return found.map { $0.start + $0.position } ?? 0
    }
  }

  /// Begins in the middle: what is before `position`, all files counted through, another process writes.
  func begin(at position: Int) throws {
    try output.reserve(layouts.map(\.fileSize))
    try end.withLock { end in
      while position >= end.start + layouts[end.file].fileSize { next(&end) }
      (end.position, end.digests, end.unsettled) = (position - end.start, [], end.file)
      if end.position == 0 { try writeHeader(&end) }
    }
  }

  private func earlier(_ isBoundary: (Int) -> Bool) throws -> End? {
    guard let state, let record = state.records.last(where: OrderedOutput.isMark),
      case let mark = try state.read(record), mark.count >= 8,
      case let position = mark[..<8].reversed().reduce(0, { $0 << 8 | Int($1) }), isBoundary(position)
    else { return nil }
    var end = End()
    while true {
      let isLast = position <= end.start + layouts[end.file].fileSize
      let count = isLast ? position - end.start : layouts[end.file].fileSize
      guard output.files[end.file].leftBytes >= count else { return nil }
      end.hash = try hash(of: end.file, count)
      end.position = count
      if isLast { break }
      next(&end)
    }
    end.savedPosition = position
    return end.mark == mark ? end : nil
  }

  /// Of the first `count` bytes of a file.
  private func hash(of file: Int, _ count: Int) throws -> SHA256 {
    var hash = SHA256()
    try unsafe output.files[file].read(0..<count) { unsafe hash.update(bufferPointer: $0) }
    return hash
  }

  /// Bytes that are written, all files counted through.
  var position: Int { end.withLock { $0.start + $0.position } }

  /// Why the output will not be made.
  var failure: (any Error)? { end.withLock { $0.failure } }

  func fail(_ error: any Error) { end.withLock { $0.failure = $0.failure ?? error } }

  /// - Parameter offset: in file number `file`; not before what was appended last.
  /// - Throws: what writing throws, now or in the background since the last call.
  func append(_ bytes: [UInt8], file: Int, at offset: Int) throws {
    let mark = try end.withLock { end -> (mark: [UInt8], files: ClosedRange<Int>)? in
      if let failure = end.failure { throw failure }
      try advance(&end, to: file)
      pad(&end, to: offset)
      try unsafe output.files[file].write(bytes.span.bytes, at: offset)
      end.add(bytes)
      let position = end.start + end.position
      guard state != nil, !end.isSaving,
        position - end.savedPosition >= OrderedOutput.bytesInSaving || ContinuousClock.now - end.saved >= interval
      else { return nil }
      (end.isSaving, end.savedPosition) = (true, position)
      defer { end.unsettled = file }
      return (end.mark, end.unsettled...file)
    }
    if let mark { saving.async { self.save(mark.mark, mark.files) } }
  }

  private func writeHeader(_ end: inout End) throws {
    let header = layouts[end.file].header
    try unsafe output.files[end.file].write(header.span.bytes, at: 0)
    end.add(header)
  }

  private func next(_ end: inout End) {
    end.digests.append(Array(end.hash.finalize()))
    end.start += layouts[end.file].fileSize
    (end.file, end.position, end.hash) = (end.file + 1, 0, SHA256())
  }

  /// Ends the files before `file` and begins it.
  private func advance(_ end: inout End, to file: Int) throws {
    while end.file < file {
      pad(&end, to: layouts[end.file].fileSize)
      next(&end)
      try writeHeader(&end)
    }
  }

  private func save(_ mark: [UInt8], _ files: ClosedRange<Int>) {
    let result = Result {
      for file in output.files[files] { try file.settle() }
      try state?.append(OrderedOutput.record, mark)
    }
    end.withLock { end in
      (end.isSaving, end.saved) = (false, .now)
      if case .failure(let error) = result { end.failure = error }
    }
  }

  /// What the files are, whole. Nothing goes on in the background any more.
  func finish() throws -> [WrittenFile] {
    wait()
    let digests = try end.withLock { end in
      if let failure = end.failure { throw failure }
      precondition(end.file == layouts.count - 1, "files without a tensor at the end")
      pad(&end, to: layouts[end.file].fileSize)
      return end.digests + [Array(end.hash.finalize())]
    }
    return zip(zip(output.files, layouts), digests).map {
      WrittenFile(path: $0.0.path, bytes: $0.1.fileSize, sha256: hexadecimalText($1))
    }
  }

  /// The SHA-256 of what was written of each file since `begin(at:)`, up to `position`; it is on the disk when this returns.
  func finish(at position: Int) throws -> [[UInt8]] {
    wait()
    let (files, digests) = try end.withLock { end in
      if let failure = end.failure { throw failure }
      let first = end.unsettled
      precondition(position >= end.start + end.position, "more was written")
      while end.start + layouts[end.file].fileSize < position { try advance(&end, to: end.file + 1) }
      pad(&end, to: position - end.start)
      return (first...end.file, end.digests + [Array(end.hash.finalize())])
    }
    for file in output.files[files] { try file.settle() }
    return digests
  }

  /// The run failed: keeps what a later one can go on with.
  func abandon(after error: any Error) {
    wait()
    let isKept = state?.records.contains(where: OrderedOutput.isMark) ?? false
    // What is wrong with the input stays wrong, and what is wrong with the disk may be anywhere in the file.
    if isKept, !(error is InputError), !output.isSpoilt, !output.isPublished { return output.keep() }
    output.discard()
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
    if offset > end.position { end.add([UInt8](repeating: 0, count: offset - end.position)) }
  }
}

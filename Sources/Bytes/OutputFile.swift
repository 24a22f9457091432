import Synchronization

/// A file written under a temporary name in the folder of its final one, which it takes only when it is complete and on
/// the disk. Until `publish()` returns, whatever stood under the final name still stands there.
///
/// The temporary file of `NAME` is `.NAME.partial`, locked while it is written: of two processes that make the same output
/// the second is told at once, and what a dead one left is in nobody's way. A file that is let go of without being
/// published is removed, unless an earlier run had left something in it.
///
/// Writes may come from many threads at once; a byte is written once.
public final class OutputFile: Sendable {
  /// The final name.
  public let path: String
  /// Bytes that an earlier run left in the temporary file; 0 when there was none.
  public let leftBytes: Int
  private let temporaryPath: String
  private let file: Descriptor
  /// Open from the start, so that it can be synced at the end.
  private let folder: Descriptor
  private let overwrites: Bool
  /// What was written and not read back.
  private let unproved = Mutex<[Piece]>([])
  private let state = Mutex(State())

  private struct State {
    var fate = Fate.open
    var isSpoilt = false
    /// Whether it has its final name beside the temporary one.
    var hasTwoNames = false
  }

  private enum Fate { case open, published, kept, discarded }

  /// Open as long as it is referred to.
  private final class Descriptor: Sendable {
    let number: Int32
    init(_ number: Int32) { self.number = number }
    deinit { try? SystemCalls.close(number, path: "") }
  }

  private var descriptor: Int32 { file.number }

  /// A range of the file and the hash of what belongs there.
  private struct Piece {
    var offset: Int
    var count: Int
    var hash: UInt64
  }

  /// Creates the temporary file, or takes over the one that an earlier run left.
  /// - Parameters:
  ///   - overwrites: whether a file under the final name may be replaced.
  ///   - resumes: whether what an earlier run left stays in the file.
  ///   - isShared: whether several processes write the file, each its own part. It stays under its temporary name then, for
  ///     one that has it alone to publish.
  /// - Throws: `InputError` `PATH` when the final name is taken and may not be, `LOCKED` when another process is making
  ///   the same file; `SystemError` when the folder cannot be written.
  public init(_ path: String, overwrites: Bool = false, resumes: Bool = false, isShared: Bool = false) throws {
    guard !path.isEmpty, !path.utf8.contains(0) else {
      throw InputError(.path, "not a usable file name", file: path)
    }
    try OutputFile.refuse(path, overwrites: overwrites)
    self.path = path
    self.overwrites = overwrites
    let folderPath = OutputFile.split(path).folder
    temporaryPath = OutputFile.temporaryPath(of: path)
    folder = Descriptor(try SystemCalls.openFolder(folderPath.isEmpty ? "." : folderPath))
    file = try OutputFile.lockedFile(temporaryPath, for: path, isShared: isShared)
    if isShared { state.withLock { $0.fate = .kept } }
    if !resumes { try SystemCalls.truncate(file.number, to: 0, path: temporaryPath) }
    leftBytes = try SystemCalls.status(of: file.number, path: temporaryPath).size
    // Another process may have published in the meantime.
    try OutputFile.refuse(path, overwrites: overwrites)
  }

  deinit { if leftBytes == 0 { discard() } }

  /// - Throws: `PATH` when the final name is taken and may not be.
  package static func refuse(_ path: String, overwrites: Bool) throws {
    guard let status = try SystemCalls.status(at: path) else { return }
    guard overwrites else {
      throw InputError(.path, "exists already", file: path, remedy: "use --force to replace it, or another name")
    }
    guard status.isRegular else { throw InputError(.path, "is not a regular file", file: path) }
  }

  /// The file at `path`, made if need be, which nobody else has open under a lock that does not go with this one.
  private static func lockedFile(_ path: String, for output: String, isShared: Bool) throws -> Descriptor {
    while true {
      let file = Descriptor(try SystemCalls.openOrCreate(path))
      guard SystemCalls.lock(file.number, isShared: isShared) else { throw locked(output) }
      let status = try SystemCalls.status(of: file.number, path: path)
      guard status.isRegular else { throw InputError(.path, "is not a regular file", file: path) }
      // Since it was opened, whoever had the lock may have published or removed it.
      guard try SystemCalls.status(at: path).map({ ($0.device, $0.inode) == (status.device, status.inode) }) == true
      else { continue }
      if try SystemCalls.extent(of: file.number, path: path).names == 1 { return file }
      // A second name: it was published by a process that was killed before it could take this one away.
      try SystemCalls.unlink(path)
    }
  }

  static func locked(_ path: String) -> InputError {
    InputError(.locked, "another process is writing it", file: path, remedy: "wait for it, or give another name")
  }

  /// Bytes of the file system that the file takes when it has `size`, besides those that it takes already.
  public func missingBytes(for size: Int) throws -> Int {
    max(0, size - (try SystemCalls.extent(of: descriptor, path: path).bytes))
  }

  /// Gives the file its size, and takes the space for it where the file system lets it.
  /// - Parameter others: bytes that will be written to the same file system beside it.
  /// - Throws: `SystemError` `ENOSPC` when there is less room than is needed besides what the file takes already.
  public func reserve(_ size: Int, others: Int = 0) throws {
    let free = try SystemCalls.freeBytes(descriptor, path: path)
    let needed = try missingBytes(for: size) + others
    guard needed <= free else {
      throw SystemError(
        "make room for", path: path, errno: SystemError.noSpace,
        remedy: "\(needed) bytes are needed and \(free) free: free \(needed - free) more, or write elsewhere")
    }
    try SystemCalls.truncate(descriptor, to: size, path: path)
    try SystemCalls.reserve(descriptor, size: size, path: path)
  }

  /// Empties it of what an earlier run left.
  public func clear() throws { try SystemCalls.truncate(descriptor, to: 0, path: path) }

  public func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws {
    let piece = Piece(offset: offset, count: bytes.count, hash: unsafe OutputFile.hash(bytes))
    try unsafe SystemCalls.write(descriptor, bytes, at: offset, path: temporaryPath)
    unproved.withLock { $0.append(piece) }
  }

  public func write(_ bytes: RawSpan, at offset: Int) throws {
    try unsafe bytes.withUnsafeBytes { try unsafe write($0, at: offset) }
  }

  /// Reads back what was written.
  public func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    try unsafe SystemCalls.read(descriptor, into: buffer, at: offset, path: temporaryPath)
  }

  /// What was written before the call is on the disk when it returns: synced, and read again from there.
  /// - Throws: `SystemError`. The file is not to be trusted after that, and `isSpoilt`.
  public func settle() throws {
    let pieces = unproved.withLock { pieces in
      let written = pieces
      pieces = []
      return written
    }
    do {
      try SystemCalls.syncData(descriptor, path: path)
      SystemCalls.dropCache(descriptor)
      if let first = pieces.first, let last = pieces.last, first.offset <= last.offset {
        SystemCalls.readAhead(descriptor, at: first.offset, count: last.offset + last.count - first.offset)
      }
      var buffer = [UInt8](repeating: 0, count: pieces.reduce(0) { max($0, $1.count) })
      for piece in pieces {
        try unsafe buffer.withUnsafeMutableBytes { buffer in
          let part = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<piece.count])
          guard try unsafe read(at: piece.offset, into: part) == piece.count,
            unsafe OutputFile.hash(UnsafeRawBufferPointer(part)) == piece.hash
          else {
            throw SystemError(
              "find again what was written to", path: path, errno: SystemError.inputOutput,
              remedy: "the \(piece.count) bytes at \(piece.offset) are others on the disk: check it")
          }
        }
      }
    } catch {
      state.withLock { $0.isSpoilt = true }
      throw error
    }
  }

  /// Whether a sync has failed, or other bytes were found than were written: nothing in the file is worth keeping.
  public var isSpoilt: Bool { state.withLock { $0.isSpoilt } }

  /// Settles the file, gives it its final name and syncs the folder.
  /// - Throws: `SystemError`; the temporary file is still there then, unless only the folder could not be synced.
  public func publish() throws { try OutputFile.publish([self]) }

  /// Whether the file has its final name.
  public var isPublished: Bool { state.withLock { $0.fate == .published } }

  /// Removes the temporary file; the final name is left as it was. Does nothing when the file was published or kept.
  public func discard() {
    let wasOpen = state.withLock { state in
      defer { if state.fate == .open { state.fate = .discarded } }
      return state.fate == .open
    }
    if wasOpen { try? SystemCalls.unlink(temporaryPath) }
  }

  /// Lets the temporary file stay for a later run to go on with.
  public func keep() { state.withLock { if $0.fate == .open { $0.fate = .kept } } }

  /// Gives the file its final name; without `overwrites` only if nobody else took it meanwhile. The temporary name stays where
  /// a file can have two.
  func takeName() throws {
    guard !overwrites else { return try SystemCalls.rename(temporaryPath, to: path) }
    do {
      try SystemCalls.link(temporaryPath, to: path)
      state.withLock { $0.hasTwoNames = true }
    } catch {
      if try SystemCalls.status(at: path) != nil { throw error }
      try SystemCalls.rename(temporaryPath, to: path)
    }
  }

  /// Undoes `takeName`. What stood under the final name before is not brought back.
  func giveUpName() throws {
    if state.withLock({ $0.hasTwoNames }) {
      try SystemCalls.unlink(path)
      state.withLock { $0.hasTwoNames = false }
    } else {
      try SystemCalls.rename(path, to: temporaryPath)
    }
  }

  /// Removes an older file under the final name, if it may be replaced.
  /// - Returns: whether there was one.
  func giveWay() throws -> Bool {
    guard overwrites, try SystemCalls.status(at: path) != nil else { return false }
    try SystemCalls.unlink(path)
    return true
  }

  /// It has its name: the temporary one is needed no more.
  func markPublished() {
    let hasTwoNames = state.withLock { state in
      state.fate = .published
      return state.hasTwoNames
    }
    // Where it was renamed, the temporary name may be another process's by now.
    if hasTwoNames { try? SystemCalls.unlink(temporaryPath) }
  }

  func syncFolder() throws { try SystemCalls.sync(folder.number, path: path) }

  static func temporaryPath(of path: String) -> String {
    let (folder, name) = split(path)
    return folder + ".\(name).partial"
  }

  private static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    let bytes = unsafe bytes.bindMemory(to: UInt8.self).span
    return ByteHash.hash(bytes, 0, bytes.count, seed: ByteHash.currentSeed)
  }

  /// `("a/b/", "c")` of `a/b/c`.
  package static func split(_ path: String) -> (folder: String, name: String) {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return ("", path) }
    let after = path.utf8.index(after: slash)
    return (String(path[..<after]), String(path[after...]))
  }
}

/// A regular file open for reading at any offset, by `pread`: unlike a mapping, a file cut short under us is an error and
/// not a signal. Safe to use from many threads.
public final class RandomAccessFile: Sendable {
  /// The path as the user gave it, for messages.
  public let path: String
  /// Bytes, when opened.
  public let size: Int
  /// What `path` leads to.
  private let target: String
  private let descriptor: Int32
  private let opened: SystemCalls.Status

  /// - Parameter shownAs: the path for messages, where `path` is what a link leads to.
  /// - Throws: `InputError` `MISSING` when nothing is there, `PATH` when it is not a regular file or its name holds a
  ///   NUL; `SystemError` when it cannot be opened.
  public init(_ path: String, shownAs shown: String? = nil) throws {
    let (target, path) = (path, shown ?? path)
    guard !path.utf8.contains(0) else { throw InputError(.path, "the name holds a NUL byte", file: path) }
    guard let status = try SystemCalls.status(at: target) else {
      throw InputError(.missing, "no such file", file: path, remedy: "check the path")
    }
    guard status.isRegular else {
      throw InputError(.path, status.isDirectory ? "is a folder, not a file" : "is not a regular file", file: path)
    }
    (self.path, self.target) = (path, target)
    descriptor = try SystemCalls.openForReading(target)
    do {
      opened = try SystemCalls.status(of: descriptor, path: path)
      guard opened.isRegular else { throw InputError(.path, "is not a regular file", file: path) }
    } catch {
      try? SystemCalls.close(descriptor, path: path)
      throw error
    }
    size = opened.size
  }

  deinit { try? SystemCalls.close(descriptor, path: path) }

  /// Fills `buffer` with the bytes from `offset` on.
  /// - Throws: `InputError` `TRUNC` when the file ends before.
  public func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    guard buffer.count > 0 else { return }
    guard offset >= 0, offset <= size, buffer.count <= size - offset else {
      throw truncated(offset, buffer.count)
    }
    let count = try unsafe SystemCalls.read(descriptor, into: buffer, at: offset, path: path)
    guard count == buffer.count else { throw changed("it ended \(buffer.count - count) bytes early") }
  }

  /// Says that these bytes will be read soon, which may make that faster and changes nothing else.
  public func readAhead(at offset: Int, count: Int) {
    SystemCalls.readAhead(descriptor, at: offset, count: count)
  }

  /// Fills `bytes` with the bytes from `offset` on.
  public func read(at offset: Int, into bytes: inout MutableRawSpan) throws {
    try unsafe bytes.withUnsafeMutableBytes { try unsafe read(at: offset, into: $0) }
  }

  /// `count` bytes from `offset` on. Nothing is allocated before the range is known to lie in the file.
  public func read(at offset: Int, count: Int) throws -> [UInt8] {
    guard offset >= 0, count >= 0, offset <= size, count <= size - offset else { throw truncated(offset, count) }
    return try unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      unsafe SystemCalls.preferLargePages(UnsafeMutableRawBufferPointer(buffer))
      try unsafe read(at: offset, into: UnsafeMutableRawBufferPointer(buffer))
      initialized = count
    }
  }

  /// The whole file, if it is no larger than `limit` bytes.
  public func readAll(limit: Int) throws -> [UInt8] {
    guard size <= limit else {
      throw InputError(.limit, "\(size) bytes, where at most \(limit) are expected", file: path)
    }
    return try read(at: 0, count: size)
  }

  /// Changes when the file is written to.
  package var stamp: String { "\(size) \(opened.modifiedSeconds).\(opened.modifiedNanoseconds)" }

  /// - Throws: `InputError` `CHANGED` when the file was written to or cut since it was opened, or another stands in its
  ///   place.
  public func checkUnchanged() throws {
    guard try SystemCalls.status(of: descriptor, path: path) == opened else { throw changed("size or time differ") }
    try identity.check()
  }

  /// By what it is known again.
  public var identity: FileIdentity { FileIdentity(path: path, target: target, status: opened) }

  private func truncated(_ offset: Int, _ count: Int) -> InputError {
    InputError(
      .truncated, "\(count) bytes expected, the file has \(max(0, size - max(0, offset))) more of \(size)", file: path,
      offset: UInt64(max(0, offset)), remedy: "download the file again")
  }

  private func changed(_ how: String) -> InputError { identity.changed(how) }
}

/// A file as it was when it was opened, for telling later whether the same one stands there, open or not.
public struct FileIdentity: Sendable {
  /// As the user gave it.
  package let path: String
  fileprivate let target: String
  fileprivate let status: SystemCalls.Status

  /// - Throws: `InputError` `CHANGED` when it was written to, replaced or removed.
  public func check() throws {
    guard let now = try SystemCalls.status(at: target) else { throw changed("it was removed") }
    guard now.inode == status.inode, now.device == status.device else { throw changed("another stands in its place") }
    guard now == status else { throw changed("size or time differ") }
  }

  fileprivate func changed(_ how: String) -> InputError {
    InputError(.changed, "the file changed while it was being read: \(how)", file: path, remedy: "run again")
  }
}

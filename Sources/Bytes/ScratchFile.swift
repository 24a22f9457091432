/// A file without a name, for what does not fit in memory: nobody else sees it, and it is gone when it is let go of, however
/// the process ends.
public final class ScratchFile: Sendable {
  private let path: String
  private let descriptor: Int32

  /// - Parameter output: the file lies on its file system.
  public init(beside output: String) throws {
    path = output + ".scratch-\(SystemCalls.processID)"
    try? SystemCalls.unlink(path)  // left by a dead process that had our id
    descriptor = try SystemCalls.create(path)
    try SystemCalls.unlink(path)
  }

  deinit { try? SystemCalls.close(descriptor, path: path) }

  public func write(_ bytes: RawSpan, at offset: Int) throws {
    try unsafe bytes.withUnsafeBytes { try unsafe SystemCalls.write(descriptor, $0, at: offset, path: path) }
  }

  /// - Throws: `InputError` `CHANGED` when there are not so many bytes.
  public func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    guard try unsafe SystemCalls.read(descriptor, into: buffer, at: offset, path: path) == buffer.count else {
      throw InputError(.changed, "the scratch file was cut short", file: path)
    }
  }
}

/// A file written under a temporary name in the folder of its final one, which it takes only when it is complete and on
/// the disk. Until `publish()` returns, whatever stood under the final name still stands there.
///
/// Writes at disjoint offsets may come from many threads at once.
public final class OutputFile: Sendable {
  /// The final name.
  public let path: String
  private let temporaryPath: String
  private let descriptor: Int32
  private let overwrites: Bool

  /// Creates the temporary file.
  /// - Parameter overwrites: whether a file under the final name may be replaced.
  /// - Throws: `InputError` `PATH` when the final name is taken and may not be, `SystemError` when the folder cannot be
  ///   written.
  public init(_ path: String, overwrites: Bool = false) throws {
    guard !path.isEmpty, !path.utf8.contains(0) else {
      throw InputError(.path, "not a usable file name", file: path)
    }
    if let status = try SystemCalls.status(at: path) {
      guard overwrites else {
        throw InputError(.path, "exists already", file: path, remedy: "use --force to replace it, or another name")
      }
      guard status.isRegular else { throw InputError(.path, "is not a regular file", file: path) }
    }
    self.path = path
    self.overwrites = overwrites
    let (folder, name) = OutputFile.split(path)
    temporaryPath = folder + ".\(name).partial-\(SystemCalls.processID)"
    try? SystemCalls.unlink(temporaryPath)  // left by a dead process that had our id
    descriptor = try SystemCalls.create(temporaryPath)
  }

  public func setSize(_ size: Int) throws {
    try SystemCalls.truncate(descriptor, to: size, path: temporaryPath)
  }

  public func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws {
    try unsafe SystemCalls.write(descriptor, bytes, at: offset, path: temporaryPath)
  }

  public func write(_ bytes: RawSpan, at offset: Int) throws {
    try unsafe bytes.withUnsafeBytes { try unsafe write($0, at: offset) }
  }

  /// Reads back what was written; for checks before publishing.
  public func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    try unsafe SystemCalls.read(descriptor, into: buffer, at: offset, path: temporaryPath)
  }

  /// Syncs the file, gives it its final name and syncs the folder. On an error the temporary file is removed.
  public func publish() throws { try OutputFile.publish([self]) }

  /// Removes the temporary file; the final name is left as it was.
  public func discard() {
    try? SystemCalls.unlink(temporaryPath)
    try? SystemCalls.close(descriptor, path: temporaryPath)
  }

  /// What is written is on the disk when this returns.
  func sync() throws { try SystemCalls.sync(descriptor, path: path) }

  /// Gives the file its final name; what stood under it is replaced if that is allowed.
  func takeName() throws {
    if overwrites {
      try SystemCalls.rename(temporaryPath, to: path)
    } else {
      try claim()
    }
  }

  /// Removes an older file under the final name, if it may be replaced.
  /// - Returns: whether there was one.
  func giveWay() throws -> Bool {
    guard overwrites, try SystemCalls.status(at: path) != nil else { return false }
    try SystemCalls.unlink(path)
    return true
  }

  /// Takes `takeName` back, unless that may have replaced another file: then a new one is better than none.
  func giveUpName() { if !overwrites { try? SystemCalls.unlink(path) } }

  func close() throws { try SystemCalls.close(descriptor, path: path) }

  var folder: String {
    let folder = OutputFile.split(path).folder
    return folder.isEmpty ? "." : folder
  }

  /// Takes the final name only if nobody else took it meanwhile; file systems without hard links fall back to renaming.
  private func claim() throws {
    do {
      try SystemCalls.link(temporaryPath, to: path)
      try SystemCalls.unlink(temporaryPath)
    } catch {
      if try SystemCalls.status(at: path) != nil { throw error }
      try SystemCalls.rename(temporaryPath, to: path)
    }
  }

  /// `("a/b/", "c")` of `a/b/c`.
  private static func split(_ path: String) -> (folder: String, name: String) {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return ("", path) }
    let after = path.utf8.index(after: slash)
    return (String(path[..<after]), String(path[after...]))
  }
}

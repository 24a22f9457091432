import Bytes

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// A folder for one test, removed with all that is in it when the last reference goes. With `QUERN_KEEP` naming a folder, it
/// is made there and stays: `Tests/PeerTests/hostile.py` measures on what the tests wrote.
package final class TemporaryFolder: Sendable {
  package let path: String

  package init() throws {
    let base = TemporaryFolder.kept ?? TemporaryFolder.variable("TMPDIR") ?? "/tmp"
    var template = Array("\(base)/quern-test-\(String(repeating: "X", count: 6))".utf8CString)
    guard let made = unsafe template.withUnsafeMutableBufferPointer({ unsafe mkdtemp($0.baseAddress!) }) else {
      throw SystemError("make a temporary folder", path: base, errno: errno)
    }
    path = unsafe String(cString: made)
  }

  deinit {
    if TemporaryFolder.kept == nil { TemporaryFolder.removeAll(path) }
  }

  private static let kept = variable("QUERN_KEEP")

  private static func variable(_ name: String) -> String? { unsafe getenv(name).map { unsafe String(cString: $0) } }

  /// The path of `name` in the folder.
  package func path(_ name: String) -> String { path + "/" + name }

  /// Makes the file `name`, and the folders that its name asks for.
  @discardableResult
  package func write(_ name: String, _ bytes: [UInt8]) throws -> String {
    if let slash = name.lastIndex(of: "/") { try makeFolder(String(name[..<slash])) }
    let descriptor = unsafe open(path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw SystemError("create", path: path(name), errno: errno) }
    defer { close(descriptor) }
    var done = 0
    while done < bytes.count {
      let count = unsafe bytes.withUnsafeBytes {
        unsafe pwrite(descriptor, $0.baseAddress! + done, $0.count - done, off_t(done))
      }
      guard count > 0 else { throw SystemError("write", path: path(name), errno: errno) }
      done += count
    }
    return path(name)
  }

  @discardableResult
  package func write(_ name: String, _ text: String) throws -> String { try write(name, Array(text.utf8)) }

  /// A file of `size` bytes, then `tail`, of which what lies after `head` takes no room on the disk.
  @discardableResult
  package func writeSparse(_ name: String, head: [UInt8] = [], size: Int, tail: [UInt8] = []) throws -> String {
    try write(name, head)
    let descriptor = unsafe open(path(name), O_WRONLY | O_CLOEXEC)
    defer { close(descriptor) }
    let written = unsafe tail.withUnsafeBytes { unsafe pwrite(descriptor, $0.baseAddress, $0.count, off_t(size)) }
    guard ftruncate(descriptor, off_t(size + tail.count)) == 0, written == tail.count else {
      throw SystemError("set the size of", path: path(name), errno: errno)
    }
    return path(name)
  }

  @discardableResult
  package func makeFolder(_ name: String) throws -> String {
    var made = path
    for part in name.split(separator: "/") {
      made += "/" + part
      guard unsafe mkdir(made, 0o755) == 0 || errno == EEXIST else {
        throw SystemError("make folder", path: made, errno: errno)
      }
    }
    return made
  }

  @discardableResult
  package func makeLink(_ name: String, to target: String) throws -> String {
    guard unsafe symlink(target, path(name)) == 0 else { throw SystemError("link", path: path(name), errno: errno) }
    return path(name)
  }

  @discardableResult
  package func makeFIFO(_ name: String) throws -> String {
    guard unsafe mkfifo(path(name), 0o644) == 0 else { throw SystemError("make FIFO", path: path(name), errno: errno) }
    return path(name)
  }

  package func remove(_ name: String) throws { try SystemCalls.unlink(path(name)) }

  package func names() throws -> [String] { try SystemCalls.entries(of: path) }

  private static func removeAll(_ path: String) {
    var info = stat()
    guard unsafe lstat(path, &info) == 0 else { return }
    if info.st_mode & S_IFMT == S_IFDIR {
      for name in (try? SystemCalls.entries(of: path)) ?? [] { removeAll(path + "/" + name) }
      unsafe rmdir(path)
    } else {
      unsafe unlink(path)
    }
  }
}

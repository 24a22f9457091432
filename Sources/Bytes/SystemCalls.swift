#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// The few calls of the operating system that the project makes. Only the files of this name know which system it is.
package enum SystemCalls {
  package static func message(_ code: Int32) -> String {
    guard let text = unsafe strerror(code) else { return "error \(code)" }
    return unsafe String(cString: text)
  }

  package static func openForReading(_ path: String) throws -> Int32 {
    // O_NONBLOCK: opening a FIFO must not hang; it is refused right after as not a regular file.
    try check("open", path) { unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }
  }

  /// A new file that must not exist yet.
  package static func create(_ path: String) throws -> Int32 {
    try check("create", path) { unsafe open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o666) }
  }

  /// A file to be read and written, made if there is none; never what a link leads to.
  package static func openOrCreate(_ path: String) throws -> Int32 {
    try check("create", path) {
      unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW, 0o666)
    }
  }

  /// A file that is there, to be read and written.
  package static func openForUpdating(_ path: String) throws -> Int32 {
    try check("open", path) { unsafe open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK) }
  }

  /// Takes the file for this process until it is closed, alone or among others that share it; `false` when another process
  /// has it in a way that does not go with that. Where a file system has no locks, everybody is told `true`.
  package static func lock(_ descriptor: Int32, isShared: Bool = false) -> Bool {
    while flock(descriptor, (isShared ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0 {
      switch errno {
      case EWOULDBLOCK: return false
      case EINTR: continue
      default: return true
      }
    }
    return true
  }

  package static func close(_ descriptor: Int32, path: String) throws {
    #if canImport(Glibc)
      let result = Glibc.close(descriptor)
    #elseif canImport(Musl)
      let result = Musl.close(descriptor)
    #else
      let result = Darwin.close(descriptor)
    #endif
    // After EINTR the descriptor is gone on Linux; closing it again could hit another file.
    if result != 0 && errno != EINTR { throw SystemError("close", path: path, errno: errno) }
  }

  /// What identifies a file and tells whether it changed.
  package struct Status: Hashable, Sendable {
    package var isRegular: Bool
    package var isDirectory: Bool
    package var size: Int
    package var device: UInt64
    package var inode: UInt64
    package var modifiedSeconds: Int
    package var modifiedNanoseconds: Int
  }

  package static func status(of descriptor: Int32, path: String) throws -> Status {
    var info = stat()
    try check("stat", path) { unsafe fstat(descriptor, &info) }
    return Status(info)
  }

  /// `nil` when nothing is at `path`.
  package static func status(at path: String) throws -> Status? {
    var info = stat()
    guard unsafe stat(path, &info) == 0 else {
      if errno == ENOENT || errno == ENOTDIR { return nil }
      throw SystemError("stat", path: path, errno: errno)
    }
    return Status(info)
  }

  /// The absolute path of what `path` leads to, every link followed; `nil` when nothing is there.
  /// - Throws: `InputError` `PATH` when links lead in a circle.
  package static func canonicalPath(_ path: String) throws -> String? {
    guard let resolved = unsafe realpath(path, nil) else {
      switch errno {
      case ENOENT, ENOTDIR, ENAMETOOLONG: return nil
      case ELOOP: throw InputError(.path, "its links lead in a circle", file: path)
      default: throw SystemError("resolve", path: path, errno: errno)
      }
    }
    defer { unsafe free(resolved) }
    return unsafe String(cString: resolved)
  }

  /// Makes `path` the folder that relative paths begin at.
  package static func enterFolder(_ path: String) throws { _ = try check("enter", path) { unsafe chdir(path) } }

  /// The value of a variable of the environment.
  package static func environment(_ name: String) -> String? {
    guard let value = unsafe getenv(name) else { return nil }
    return unsafe String(cString: value)
  }

  /// Fills `buffer` from `offset`; fewer bytes only at the end of the file.
  package static func read(
    _ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer, at offset: Int, path: String
  ) throws -> Int {
    var done = 0
    while done < buffer.count {
      let count = unsafe pread(
        descriptor, buffer.baseAddress! + done, min(buffer.count - done, 1 << 30), off_t(offset + done))
      if count > 0 {
        done += count
      } else if count == 0 {
        break
      } else if errno != EINTR {
        throw SystemError("read", path: path, errno: errno)
      }
    }
    return done
  }

  /// Has the system bring a range into its own memory, from where it can take it back; nothing waits for it. A system that
  /// cannot does nothing.
  package static func readAhead(_ descriptor: Int32, at offset: Int, count: Int) {
    #if os(Linux)
      _ = posix_fadvise(descriptor, off_t(offset), off_t(count), Int32(POSIX_FADV_WILLNEED))
    #endif
  }

  package static func write(
    _ descriptor: Int32, _ buffer: UnsafeRawBufferPointer, at offset: Int, path: String
  ) throws {
    var done = 0
    while done < buffer.count {
      let count = unsafe pwrite(
        descriptor, buffer.baseAddress! + done, min(buffer.count - done, 1 << 30), off_t(offset + done))
      if count > 0 {
        done += count
      } else if count == 0 {
        throw SystemError("write", path: path, errno: EIO)
      } else if errno != EINTR {
        throw SystemError("write", path: path, errno: errno)
      }
    }
  }

  package static func truncate(_ descriptor: Int32, to size: Int, path: String) throws {
    try check("set the size of", path) { ftruncate(descriptor, off_t(size)) }
  }

  package static func rename(_ from: String, to path: String) throws {
    #if canImport(Glibc)
      try check("rename to", path) { unsafe Glibc.rename(from, path) }
    #elseif canImport(Musl)
      try check("rename to", path) { unsafe Musl.rename(from, path) }
    #else
      try check("rename to", path) { unsafe Darwin.rename(from, path) }
    #endif
  }

  /// Gives the file at `from` a second name, failing when `path` exists: the way to publish without overwriting.
  package static func link(_ from: String, to path: String) throws {
    #if canImport(Glibc)
      try check("create", path) { unsafe Glibc.link(from, path) }
    #elseif canImport(Musl)
      try check("create", path) { unsafe Musl.link(from, path) }
    #else
      try check("create", path) { unsafe Darwin.link(from, path) }
    #endif
  }

  package static func unlink(_ path: String) throws {
    #if canImport(Glibc)
      try check("remove", path) { unsafe Glibc.unlink(path) }
    #elseif canImport(Musl)
      try check("remove", path) { unsafe Musl.unlink(path) }
    #else
      try check("remove", path) { unsafe Darwin.unlink(path) }
    #endif
  }

  /// Asks for pages of 2 MiB where `memory` holds whole ones: filling them costs one fault where it would cost 512.
  package static func preferLargePages(_ memory: UnsafeMutableRawBufferPointer) {
    #if os(Linux)
      guard memory.count >= 1 << 22, let base = memory.baseAddress else { return }
      let page = 1 << 21
      let start = (UInt(bitPattern: base) + UInt(page) - 1) / UInt(page) * UInt(page)
      let end = (UInt(bitPattern: base) + UInt(memory.count)) / UInt(page) * UInt(page)
      guard start < end, let first = unsafe UnsafeMutableRawPointer(bitPattern: start) else { return }
      // Advice: where the system has no such pages, all goes on without.
      _ = unsafe madvise(first, Int(end - start), MADV_HUGEPAGE)
    #endif
  }

  /// Makes the folder `path` in a folder that is there, if it is not there itself.
  package static func makeFolder(_ path: String) throws {
    if try status(at: path)?.isDirectory == true { return }
    try check("make folder", path) { unsafe mkdir(path, 0o777) }
  }

  /// Makes the folder `path` and those that it lies in, where they are not there.
  package static func makeFolders(_ path: String) throws {
    var made = ""
    for part in path.split(separator: "/", omittingEmptySubsequences: false) {
      made += part
      if !part.isEmpty, part != "." { try makeFolder(made) }
      made += "/"
    }
  }

  package static var processID: Int32 { getpid() }

  /// Threads that can run at once.
  package static var processorCount: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

  /// Time that the calling thread has spent on a processor, in nanoseconds.
  package static var threadNanoseconds: Int {
    var time = timespec()
    guard unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0 else { return 0 }
    return Int(time.tv_sec) * 1_000_000_000 + Int(time.tv_nsec)
  }

  /// The largest resident set of this process so far, in bytes.
  package static var peakResidentBytes: Int {
    var usage = rusage()
    #if canImport(Glibc)
      guard unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 else { return 0 }
    #else
      guard unsafe getrusage(RUSAGE_SELF, &usage) == 0 else { return 0 }
    #endif
    #if canImport(Darwin)
      return usage.ru_maxrss
    #else
      return usage.ru_maxrss * 1024
    #endif
  }

  /// The names in a folder, sorted by their bytes; `.` and `..` left out.
  package static func entries(of path: String) throws -> [String] {
    guard let folder = unsafe opendir(path) else { throw SystemError("list", path: path, errno: errno) }
    defer { unsafe closedir(folder) }
    var names: [ExactString] = []
    while let entry = unsafe readdir(folder) {
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
        unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(ExactString(name)) }
    }
    return names.sorted().map(\.string)
  }

  @discardableResult
  static func check(_ operation: String, _ path: String, _ call: () -> Int32) throws -> Int32 {
    while true {
      let result = call()
      if result >= 0 { return result }
      if errno != EINTR { throw SystemError(operation, path: path, errno: errno) }
    }
  }
}

extension SystemCalls.Status {
  fileprivate init(_ info: stat) {
    isRegular = info.st_mode & S_IFMT == S_IFREG
    isDirectory = info.st_mode & S_IFMT == S_IFDIR
    size = Int(info.st_size)
    device = UInt64(truncatingIfNeeded: info.st_dev)
    inode = UInt64(truncatingIfNeeded: info.st_ino)
    #if canImport(Darwin)
      modifiedSeconds = info.st_mtimespec.tv_sec
      modifiedNanoseconds = info.st_mtimespec.tv_nsec
    #else
      modifiedSeconds = info.st_mtim.tv_sec
      modifiedNanoseconds = info.st_mtim.tv_nsec
    #endif
  }
}

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif
#if os(Linux)
  private import CLinux
#endif

/// What it takes to know that bytes are on the disk, and that there is room for them.
extension SystemCalls {
  /// A failed sync is final: the kernel may have dropped the dirty pages, so a second call would lie.
  package static func sync(_ descriptor: Int32, path: String) throws {
    try check("sync", path) { fsync(descriptor) }
  }

  /// The same without what only tells of the file: its times.
  package static func syncData(_ descriptor: Int32, path: String) throws {
    #if canImport(Darwin)
      try check("sync", path) { fsync(descriptor) }
    #else
      try check("sync", path) { fdatasync(descriptor) }
    #endif
  }

  /// A folder, to be synced.
  package static func openFolder(_ path: String) throws -> Int32 {
    try check("open folder", path) { unsafe open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY) }
  }

  /// Has the system forget its own copy of what is on the disk already, so that the next read comes from there; nothing
  /// where a system cannot.
  package static func dropCache(_ descriptor: Int32) {
    #if os(Linux)
      _ = posix_fadvise(descriptor, 0, 0, Int32(POSIX_FADV_DONTNEED))
    #endif
  }

  /// Bytes that this process may still write to the file system that the file is on.
  package static func freeBytes(_ descriptor: Int32, path: String) throws -> Int {
    var info = statvfs()
    try check("ask for the free space around", path) { unsafe fstatvfs(descriptor, &info) }
    let (bytes, overflows) = UInt64(info.f_bavail).multipliedReportingOverflow(by: UInt64(info.f_frsize))
    return overflows ? .max : Int(clamping: bytes)
  }

  /// What of the file system a file takes, and under how many names.
  package static func extent(of descriptor: Int32, path: String) throws -> (bytes: Int, names: Int) {
    var info = stat()
    try check("stat", path) { unsafe fstat(descriptor, &info) }
    return (Int(info.st_blocks) * 512, Int(info.st_nlink))
  }

  /// Takes the space for the first `size` bytes of a file, whose content stays; nothing where a file system cannot.
  package static func reserve(_ descriptor: Int32, size: Int, path: String) throws {
    #if os(Linux)
      guard size > 0 else { return }
      do {
        try check("reserve space for", path) { fallocate(descriptor, 0, 0, size) }
      } catch let error as SystemError where [EOPNOTSUPP, ENOSYS, EINVAL].contains(error.errno) {
        return
      }
    #endif
  }
}

extension SystemError {
  package static var noSpace: Int32 { ENOSPC }
  package static var inputOutput: Int32 { EIO }
}

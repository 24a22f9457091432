#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// What is told while a program runs: streams that grow line by line, and small files that others read again and again.
extension SystemCalls {
  package static let standardError: Int32 = 2

  /// A file to add to, made if there is none, or whatever else takes bytes under this name: a FIFO, a terminal. A FIFO that
  /// nobody reads is an error, not a wait.
  package static func openForAppending(_ path: String) throws -> Int32 {
    try check("open", path) {
      unsafe open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0o666)
    }
  }

  /// Adds `bytes`, in one call where the system takes them at once, so that lines of several processes stay whole.
  package static func append(_ descriptor: Int32, _ bytes: [UInt8], path: String) throws {
    #if canImport(Glibc)
      let write = unsafe Glibc.write
    #elseif canImport(Musl)
      let write = unsafe Musl.write
    #else
      let write = unsafe Darwin.write
    #endif
    try unsafe bytes.withUnsafeBytes { buffer in
      var done = 0
      while done < buffer.count {
        let count = unsafe write(descriptor, buffer.baseAddress! + done, buffer.count - done)
        if count > 0 {
          done += count
        } else if count == 0 || errno != EINTR {
          throw SystemError("write", path: path, errno: count == 0 ? EIO : errno)
        }
      }
    }
  }

  /// Has readers of `path` find the whole of `bytes`, or what stood there before. For what is of no use after a loss of
  /// power: nothing is synced. Everything else is an `OutputFile`'s to write.
  package static func replace(_ path: String, with bytes: [UInt8]) throws {
    let (folder, name) = OutputFile.split(path)
    let temporary = "\(folder).\(name).\(processID)"
    let descriptor = try check("create", temporary) {
      unsafe open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o666)
    }
    do {
      defer { try? close(descriptor, path: temporary) }
      try append(descriptor, bytes, path: temporary)
      try rename(temporary, to: path)
    } catch {
      try? unlink(temporary)
      throw error
    }
  }

  package static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

  /// Seconds since 1970, by the clock on the wall.
  package static var secondsSince1970: Double {
    var time = timespec()
    guard unsafe clock_gettime(CLOCK_REALTIME, &time) == 0 else { return 0 }
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}

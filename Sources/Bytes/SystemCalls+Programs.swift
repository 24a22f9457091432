#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

extension SystemCalls {
  /// Has the shell carry out `script` in the place of this program.
  /// - Throws: when there is no shell; else it does not return.
  package static func becomeShell(running script: String) throws -> Never {
    var words = unsafe [UnsafeMutablePointer<CChar>?]()
    for word in ["sh", "-c", script] {
      let copy = unsafe strdup(word)
      unsafe words.append(copy)
    }
    unsafe words.append(nil)
    defer { for index in unsafe words.indices { unsafe free(words[index]) } }
    unsafe execv("/bin/sh", words)
    throw SystemError("run", path: "/bin/sh", errno: errno)
  }
}

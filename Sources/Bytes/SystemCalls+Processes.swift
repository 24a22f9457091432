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

/// Processes that are started, watched and ended.
extension SystemCalls {
  /// How a process ended.
  package enum Ending: Hashable, Sendable {
    case exited(Int32)
    case killed(signal: Int32)
  }

  package static let termination = SIGTERM

  /// Starts `program` in a group of its own, so that what is typed at the terminal reaches it only through its parent, with
  /// nothing to read.
  /// - Parameters:
  ///   - variables: added to the environment, `NAME=VALUE`.
  ///   - output, errors: files that take what it says. The first is emptied, the second added to.
  /// - Returns: its number.
  package static func start(
    _ program: String, _ arguments: [String], adding variables: [String] = [], output: String, errors: String
  ) throws -> Int32 {
    #if canImport(Darwin)
      var actions: posix_spawn_file_actions_t?
      var attributes: posix_spawnattr_t?
    #else
      var actions = unsafe posix_spawn_file_actions_t()
      var attributes = posix_spawnattr_t()
    #endif
    func prove(_ code: Int32) throws { if code != 0 { throw SystemError("start", path: program, errno: code) } }
    try prove(unsafe posix_spawn_file_actions_init(&actions))
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    try prove(unsafe posix_spawnattr_init(&attributes))
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    try prove(unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0))
    try prove(
      unsafe posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0o666))
    try prove(
      unsafe posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY | O_CREAT | O_APPEND, 0o666))
    try prove(unsafe posix_spawnattr_setpgroup(&attributes, 0))
    try prove(unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP)))

    // Ignored, as some parents leave it, it would keep the system from telling how a child ended.
    _ = signal(SIGCHLD, SIG_DFL)
    var number: pid_t = 0
    let code = unsafe withStrings([program] + arguments) { words in
      unsafe withStrings(variables, followedBy: environ) { values in
        unsafe posix_spawn(&number, program, &actions, &attributes, words, values)
      }
    }
    try prove(code)
    return number
  }

  /// Has the shell carry out `script` in the place of this program.
  /// - Throws: when there is no shell; else it does not return.
  package static func becomeShell(running script: String) throws -> Never {
    let code = unsafe withStrings(["sh", "-c", script]) { words in
      unsafe execv("/bin/sh", words)
      return errno
    }
    throw SystemError("run", path: "/bin/sh", errno: code)
  }

  private typealias Strings = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>

  /// Shows `body` copies of `strings` as programs take their arguments and variables, with nothing behind the last.
  /// - Parameter others: strings of that kind, that follow them.
  private static func withStrings(
    _ strings: [String], followedBy others: Strings? = nil, _ body: (Strings) -> Int32
  ) -> Int32 {
    var all = unsafe strings.map { unsafe strdup($0) }
    defer { for index in strings.indices { unsafe free(all[index]) } }
    if var next = unsafe others {
      while let string = unsafe next.pointee {
        unsafe all.append(string)
        unsafe next += 1
      }
    }
    unsafe all.append(nil)
    return unsafe all.withUnsafeMutableBufferPointer { unsafe body($0.baseAddress!) }
  }

  /// How the child ended; `nil` while it runs.
  package static func ending(of child: Int32) throws -> Ending? {
    var status: Int32 = 0
    let result = try check("wait for", "process \(child)") { unsafe waitpid(child, &status, WNOHANG) }
    guard result != 0 else { return nil }
    // As the macros of wait.h have it, which Swift is not shown: the low seven bits are the signal.
    let signal = status & 0x7F
    return signal == 0 ? .exited(status >> 8 & 0xFF) : .killed(signal: signal)
  }

  package static func send(_ signal: Int32, to process: Int32) { _ = kill(process, signal) }

  /// A new folder where such are made, that only this user may enter.
  package static func makeTemporaryFolder() throws -> String {
    let base = environment("TMPDIR") ?? "/tmp"
    var template = Array("\(base)/quern-\(String(repeating: "X", count: 6))".utf8CString)
    guard let made = unsafe template.withUnsafeMutableBufferPointer({ unsafe mkdtemp($0.baseAddress!) }) else {
      throw SystemError("make a temporary folder", path: base, errno: errno)
    }
    return unsafe String(cString: made)
  }

  package static func removeFolder(_ path: String) throws { try check("remove", path) { unsafe rmdir(path) } }

  package static func sleep(seconds: Double) { usleep(UInt32(max(0, min(seconds, 60)) * 1e6)) }

  /// Has this process asked to end when its parent, `parent`, ends, however that happens. Where a system cannot, it goes on.
  /// - Returns: whether the parent is still there.
  package static func endWithParent(_ parent: Int32) -> Bool {
    #if os(Linux)
      let parentDeathSignal: Int32 = 1  // PR_SET_PDEATHSIG, of linux/prctl.h
      _ = quern_prctl(parentDeathSignal, UInt(SIGTERM), 0, 0, 0)
    #endif
    return getppid() == parent
  }
}

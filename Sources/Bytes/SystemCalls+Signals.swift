#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

extension SystemCalls {
  /// What asks a process to end: Ctrl-C, a scheduler, a terminal that was closed.
  private static let endings = [SIGINT, SIGTERM, SIGHUP]

  /// Has `handler` called, in the middle of whatever runs, when the process is asked to end. What is ignored stays so: of
  /// a job in the background, by `nohup`. What a parent had blocked, maybe only for the thread that started us, is not.
  package static func onEnding(_ handler: @escaping @convention(c) (Int32) -> Void) {
    for number in endings {
      let before = signal(number, handler)
      if isIgnored(before) { _ = signal(number, SIG_IGN) }
      unblock(number)
    }
  }

  private static func unblock(_ number: Int32) {
    var signals = sigset_t()
    unsafe _ = sigemptyset(&signals)
    unsafe _ = sigaddset(&signals, number)
    unsafe _ = pthread_sigmask(SIG_UNBLOCK, &signals, nil)
  }

  /// The process ends at once again when it is asked to.
  package static func onEndingEnd() {
    for number in endings {
      let before = signal(number, SIG_DFL)
      if isIgnored(before) { _ = signal(number, SIG_IGN) }
    }
  }

  /// Has calls say what went wrong where a signal would end the process: writing where nobody reads, or beyond the largest
  /// file that is allowed.
  package static func ignoreFailureSignals() {
    for number in [SIGPIPE, SIGXFSZ] { _ = signal(number, SIG_IGN) }
  }

  private static func isIgnored(_ handler: sighandler_t?) -> Bool {
    unsafe unsafeBitCast(handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
  }

  /// Ends the process here and now; nothing is cleaned up. May be called from a handler of signals.
  package static func exitNow(_ code: Int32) -> Never { _exit(code) }
}

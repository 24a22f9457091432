import Bytes
import Conversion

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// What a command says while it works: on standard error, one redrawn line on a terminal and a plain line every ten
/// seconds elsewhere.
struct Console: Sendable {
  let quiet: Bool
  let verbose: Bool

  private static let isTerminal =
    isatty(2) == 1 && Machine.environment("TERM") != "dumb" && Machine.environment("NO_COLOR") == nil

  /// Prints `message` to standard error, whatever the flags.
  static func complain(_ message: String) {
    let line = Array((isTerminal ? "\r\u{1B}[K" : "").utf8) + Array(message.utf8) + [10]
    unsafe line.withUnsafeBytes { buffer in
      _ = unsafe write(2, buffer.baseAddress, buffer.count)
    }
  }

  func say(_ message: @autoclosure () -> String) {
    if !quiet { Console.complain(message()) }
  }

  func detail(_ message: @autoclosure () -> String) {
    if verbose && !quiet { Console.complain(message()) }
  }

  /// A handler for the library's progress reports.
  func progress() -> ProgressHandler? {
    guard !quiet else { return nil }
    let line = ProgressLine(interval: Console.isTerminal ? .milliseconds(100) : .seconds(10))
    return { progress in
      guard let text = line.text(for: progress) else { return }
      if Console.isTerminal {
        let bytes = Array("\r\u{1B}[K\(text)\(progress.isDone ? "\r\u{1B}[K" : "")".utf8)
        unsafe bytes.withUnsafeBytes { buffer in
          _ = unsafe write(2, buffer.baseAddress, buffer.count)
        }
      } else if !progress.isDone {
        Console.complain(text)
      }
    }
  }
}

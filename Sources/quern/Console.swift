import Bytes
import Conversion
import Logging

/// What a command says while it works: on standard error, one redrawn line on a terminal and a plain line every ten
/// seconds elsewhere; and what `RunWatch` tells others of it.
struct Console: Sendable {
  private let quiet: Bool
  private let watch: RunWatch?
  private let log: Logger

  /// - Parameters:
  ///   - level: of what is said at least.
  ///   - watch: is told everything, whatever is said.
  init(level: Logger.Level = .info, quiet: Bool = false, watch: RunWatch? = nil) {
    (self.quiet, self.watch) = (quiet, watch)
    log = Logger(label: "quern") { _ in ConsoleLogHandler(shown: level, watch: watch) }
  }

  static let isTerminal =
    SystemCalls.isTerminal(SystemCalls.standardError) && SystemCalls.environment("TERM") != "dumb"
    && SystemCalls.environment("NO_COLOR") == nil

  /// Seconds between two lines of progress.
  static var lineInterval: Double { isTerminal ? 0.1 : 10 }

  /// Says why something was not done, whatever the flags.
  func complain(_ message: String) { log.error("\(message)") }

  func warn(_ message: String) { log.warning("\(message)") }

  func say(_ message: @autoclosure () -> String) { log.info("\(message())") }

  func detail(_ message: @autoclosure () -> String) { log.debug("\(message())") }

  /// A file has its final name.
  func published(_ path: String, sha256: String? = nil) { watch?.published(path, sha256: sha256) }

  /// A handler for the library's progress reports.
  func progress() -> ProgressHandler? {
    guard let watch, !quiet || watch.hasListeners else { return nil }
    return { progress in
      guard let text = watch.report(progress), !quiet else { return }
      if Console.isTerminal {
        Console.write("\r\u{1B}[K\(text)\(progress.isDone ? "\r\u{1B}[K" : "")")
      } else if !progress.isDone {
        Console.write(text + "\n")
      }
    }
  }

  /// Nobody can be told that standard error takes nothing.
  fileprivate static func write(_ text: String) {
    try? SystemCalls.append(SystemCalls.standardError, Array(text.utf8), path: "standard error")
  }
}

/// Writes messages to standard error as they are, without the time or their level, over the line of progress if there is one.
private struct ConsoleLogHandler: LogHandler {
  /// Messages below it go to the watch alone.
  let shown: Logger.Level
  let watch: RunWatch?
  var metadata: Logger.Metadata = [:]
  var logLevel: Logger.Level

  init(shown: Logger.Level, watch: RunWatch?) {
    (self.shown, self.watch) = (shown, watch)
    logLevel = watch == nil ? shown : min(shown, .info)
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    watch?.note(level: event.level.rawValue, "\(event.message)")
    guard event.level >= shown else { return }
    Console.write((Console.isTerminal ? "\r\u{1B}[K" : "") + "\(event.message)\n")
  }
}

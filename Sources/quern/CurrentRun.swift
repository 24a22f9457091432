import ArgumentParser
import Conversion
import Logging
import Synchronization

/// A command whose runs can be watched.
protocol WatchedCommand: ParsableCommand {
  var shared: SharedOptions { get }
}

extension WatchedCommand {
  /// As it is typed.
  static var name: String { configuration.commandName ?? "\(Self.self)".lowercased() }
}

/// The command that this process runs: what ends it must be told where the command itself is not known any more.
enum CurrentRun {
  private struct State {
    var console = Console()
    var watch: RunWatch?
  }

  private static let state = Mutex(State())

  static var console: Console { state.withLock { $0.console } }

  /// - Throws: when those who asked to be told cannot be.
  static func begin(_ command: any WatchedCommand, arguments: [String]) throws {
    let (shared, name) = (command.shared, type(of: command).name)
    let level: Logger.Level = shared.quiet ? .warning : shared.verbose ? .debug : .info
    let watch = try RunWatch(
      command: name, events: shared.events, metrics: shared.metrics, lineInterval: Console.lineInterval,
      warn: { Console(level: level).warn("quern: \($0)") })
    state.withLock { $0 = State(console: Console(level: level, quiet: shared.quiet, watch: watch), watch: watch) }
    watch.started(command: name, arguments: arguments)
  }

  static func ended(_ outcome: Outcome) { state.withLock { $0.watch }?.ended(code: outcome.rawValue) }
}

import Bytes
import Synchronization

/// What is told of a run while it goes, beside its messages: a line for a person, events for a program that started it, a file
/// for whoever watches the machine. Whatever of these cannot be written is given up with a warning; the run goes on.
public final class RunWatch: Sendable {
  private let began = ContinuousClock.now
  private let warn: @Sendable (String) -> Void
  private let state: Mutex<State>

  private struct State {
    var meter = ProgressMeter()
    var line: Pace
    var event = Pace(interval: 1)
    var events: EventStream?
    var metrics: MetricsFile?
  }

  /// - Parameters:
  ///   - command: that is run: `convert`.
  ///   - events: where events go, `-` for standard error.
  ///   - metrics: the file that is kept up to date.
  ///   - lineInterval: seconds between two lines of progress.
  ///   - warn: is told what cannot be written.
  /// - Throws: what opening throws: who asks to be told is told at once that he will not be.
  public init(
    command: String, events: String?, metrics: String?, lineInterval: Double,
    warn: @escaping @Sendable (String) -> Void
  ) throws {
    self.warn = warn
    let metrics = try metrics.map { try MetricsFile($0, command: command) }
    try metrics?.write()
    state = Mutex(
      State(line: Pace(interval: lineInterval), events: try events.map(EventStream.init), metrics: metrics))
  }

  /// How often something is done at most.
  private struct Pace {
    let interval: Double
    var last: Double?

    mutating func isDue(at time: Double, always: Bool) -> Bool {
      guard always || last.map({ time - $0 >= interval }) ?? true else { return false }
      last = time
      return true
    }
  }

  private var now: Double { seconds(ContinuousClock.now - began) }

  /// Is anybody told but the person at the terminal?
  public var hasListeners: Bool { state.withLock { $0.events != nil || $0.metrics != nil } }

  public func started(command: String, arguments: [String]) {
    tell {
      try $0.events?.write(
        "started", at: $1,
        [
          ("command", .string(command)), ("version", .string(Version.current)),
          ("arguments", .array(arguments.map { .string($0) })), ("process", .int(Int(SystemCalls.processID))),
          ("time", .double(SystemCalls.secondsSince1970)),
        ])
    }
  }

  /// - Returns: the line to show, when it is time for one.
  public func report(_ progress: Progress) -> String? {
    tell { state, time in
      let reading = state.meter.read(progress, at: time)
      let isDue = state.line.isDue(at: time, always: reading.isFirst || progress.isDone)
      if state.event.isDue(at: time, always: reading.isFirst || progress.isDone) {
        try state.events?.write("progress", at: time, reading.members)
      }
      try state.metrics?.update(at: time, reading)
      return isDue && (!reading.isFirst || progress.isDone) ? reading.text : nil
    } ?? nil
  }

  /// Something was said.
  public func note(level: String, _ message: String) {
    tell { try $0.events?.write("note", at: $1, [("level", .string(level)), ("message", .string(message))]) }
  }

  /// A file has its final name.
  public func published(_ path: String, sha256: String?) {
    let bytes = (try? SystemCalls.status(at: path))?.size
    tell {
      try $0.events?.write(
        "output", at: $1,
        [
          ("path", .string(path)), ("file_bytes", bytes.map { .int($0) } ?? .null),
          ("sha256", sha256.map { .string($0) } ?? .null),
        ])
      $0.metrics?.outputs += 1
    }
  }

  /// The process ends, in good order.
  public func ended(code: Int32) {
    tell {
      try $0.events?.write("ended", at: $1, [("exit_code", .int(Int(code)))])
      try $0.metrics?.end(at: $1, code: code)
    }
  }

  @discardableResult
  private func tell<Result>(_ body: (inout State, Double) throws -> Result) -> Result? {
    let result: Swift.Result<Result, any Error> = state.withLock { state in
      Swift.Result { try body(&state, now) }.mapError { error in
        (state.events, state.metrics) = (nil, nil)
        return error
      }
    }
    switch result {
    case .success(let value): return value
    case .failure(let error):
      // Not under the lock: a warning is a note too.
      warn("\(error); the run is watched no more")
      return nil
    }
  }
}

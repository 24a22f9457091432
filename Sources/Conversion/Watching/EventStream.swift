import Bytes

/// Lines of JSON, one an event, added to a file, a FIFO or standard error.
///
/// Every line has `event` and `seconds`, since the run began, by a clock that never goes back.
struct EventStream {
  private let path: String
  private let descriptor: Int32

  /// - Parameter path: `-` for standard error.
  init(_ path: String) throws {
    self.path = path
    // Left open to the end of the process, as the stream is.
    descriptor = path == "-" ? SystemCalls.standardError : try SystemCalls.openForAppending(path)
  }

  func write(_ event: String, at seconds: Double, _ members: [(String, JSONText)]) throws {
    let line = JSONText.object(
      [("event", .string(event)), ("seconds", .double(EventStream.rounded(seconds)))] + members)
    try SystemCalls.append(descriptor, Array((line.text() + "\n").utf8), path: path)
  }

  /// To milliseconds: more is noise.
  static func rounded(_ seconds: Double) -> Double { (seconds * 1000).rounded() / 1000 }
}

extension ProgressMeter.Reading {
  /// Of a `progress` event.
  var members: [(String, JSONText)] {
    [
      ("activity", .string(progress.activity)), ("unit", .string(progress.unit.rawValue)),
      ("done", .int(progress.done)), ("total", .int(progress.total)), ("ratio", .double(ratio)),
      ("activity_seconds", .double(EventStream.rounded(elapsed))),
      ("eta_seconds", left.map { .double(EventStream.rounded($0)) } ?? .null),
    ]
  }
}

import Bytes

/// A file of Prometheus' text format for node_exporter's textfile collector: replaced as a whole, at most every few seconds.
///
/// A sample is told from those of other runs by the label `run`, the name of the file without its ending: files in one folder
/// have names of their own.
struct MetricsFile {
  private static let interval = 5.0

  private let path: String
  private let labels: [(String, String)]
  private var written: Double?
  private var reading: ProgressMeter.Reading?
  private var seconds = 0.0
  private var exitCode: Int32?
  /// Files that have their final names.
  var outputs = 0

  init(_ path: String, command: String) throws {
    // It stays the same file when the command goes to another folder.
    self.path = try Machine.absolute(path)
    let name = OutputFile.split(path).name
    labels = [("command", command), ("run", name.hasSuffix(".prom") ? String(name.dropLast(5)) : name)]
  }

  mutating func update(at time: Double, _ reading: ProgressMeter.Reading) throws {
    (self.reading, seconds) = (reading, time)
    guard written.map({ time - $0 >= MetricsFile.interval }) ?? true else { return }
    written = time
    try write()
  }

  mutating func end(at time: Double, code: Int32) throws {
    (seconds, exitCode) = (time, code)
    try write()
  }

  func write() throws { try SystemCalls.replace(path, with: Array(text.utf8)) }

  private var text: String {
    let activity = reading.map { [("activity", $0.progress.activity)] } ?? []
    var lines: [String] = []
    func add(_ name: String, _ help: String, _ more: [(String, String)], _ value: Double?, _ type: String = "gauge") {
      guard let value else { return }
      let labels = (labels + more).map { "\($0)=\"\(MetricsFile.escaped($1))\"" }.joined(separator: ",")
      lines += [
        "# HELP quern_\(name) \(help)", "# TYPE quern_\(name) \(type)", "quern_\(name){\(labels)} \(value)",
      ]
    }
    add("running", "1 while the run goes on, 0 after its end.", [], exitCode == nil ? 1 : 0)
    add("elapsed_seconds", "Seconds since the run began, when this was written.", [], seconds)
    add("outputs_published", "Files that have their final names.", [], Double(outputs))
    add("progress_ratio", "Share of the activity that is done, 0 to 1.", activity, reading?.ratio)
    add("eta_seconds", "Seconds to the end of the activity, as far as it can be told.", activity, reading?.left)
    if let progress = reading?.progress {
      let unit = progress.unit.rawValue
      add("\(unit)_done", "Of the activity, what an earlier run did included.", activity, Double(progress.done))
      add("\(unit)_planned", "Of the activity, what is done and what is not.", activity, Double(progress.total))
    }
    add("exit_code", "How the run ended.", [], exitCode.map(Double.init))
    return lines.map { $0 + "\n" }.joined()
  }

  private static func escaped(_ value: String) -> String {
    value.replacingScalars {
      switch $0 {
      case "\\": "\\\\"
      case "\"": "\\\""
      case "\n": "\\n"
      default: nil
      }
    }
  }
}

import ArgumentParser
import Bytes
import Conversion

/// Flags that every command understands.
struct SharedOptions: ParsableArguments {
  @Flag(help: "Print the result as one JSON object.")
  var json = false

  @Flag(name: [.customShort("q"), .long], help: "Print no progress.")
  var quiet = false

  @Flag(name: [.customShort("v"), .long], help: "Say more about what is being done.")
  var verbose = false

  @Option(
    help: ArgumentHelp(
      "Add a line of JSON to this file for what happens: started, progress, note, output, ended; - for standard error.",
      valueName: "file"))
  var events: String?

  @Option(
    help: ArgumentHelp(
      "Keep this file up to date in Prometheus' text format, for node_exporter's textfile collector.", valueName: "file"
    ))
  var metrics: String?

  var console: Console { CurrentRun.console }
}

/// Flags of commands that compute.
struct ComputeOptions: ParsableArguments {
  @Option(name: [.customShort("j"), .long], help: "Threads to compute on. (default: one a processor)")
  var jobs: Int?

  @Option(help: ArgumentHelp("Memory to stay within, such as 4G.", valueName: "size"))
  var memory: ByteSize = ByteSize(bytes: 4 << 30)

  func validate() throws {
    if let jobs, !(1...1024).contains(jobs) { throw ValidationError("--jobs takes a number from 1 to 1024.") }
    if memory.bytes < 64 << 20 { throw ValidationError("--memory takes at least 64M.") }
  }

  var threads: Int { jobs ?? Machine.processorCount }
}

/// A size such as `512M`, `4G` or `4GiB`; powers of 1024.
struct ByteSize: ExpressibleByArgument, Equatable, CustomStringConvertible {
  var bytes: Int

  init(bytes: Int) { self.bytes = bytes }

  init?(argument: String) {
    guard let bytes = byteCount(argument) else { return nil }
    self.bytes = bytes
  }

  var description: String {
    for (unit, shift) in [("G", 30), ("M", 20), ("K", 10)] where bytes >= 1 << shift && bytes % (1 << shift) == 0 {
      return "\(bytes >> shift)\(unit)"
    }
    return "\(bytes)"
  }

  var defaultValueDescription: String { description }
}

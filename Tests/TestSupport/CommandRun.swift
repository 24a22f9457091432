import Foundation

/// One run of a program of this package, or of a peer.
package struct CommandRun {
  package var code: Int32
  package var output: String
  package var errors: String

  /// The folder that the test binary and the programs beside it were built into.
  package static let products: String = {
    let folder = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath().deletingLastPathComponent()
    return folder.path
  }()

  package static var quern: String { products + "/quern" }

  /// Runs `program` to its end and keeps what it prints.
  package init(
    _ program: String, _ arguments: [String], environment: [String: String] = [:], folder: String? = nil
  ) throws {
    let scratch = try TemporaryFolder()
    let process = try CommandRun.process(program, arguments, scratch)
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    if let folder { process.currentDirectoryURL = URL(fileURLWithPath: folder) }
    try process.run()
    try self.init(process, scratch)
  }

  /// `program`, not started yet, which will print into files in `scratch`.
  private static func process(
    _ program: String, _ arguments: [String], _ scratch: TemporaryFolder
  ) throws -> Process {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: scratch.write("out", [])))
    process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: scratch.write("err", [])))
    return process
  }

  /// Waits for `process`.
  private init(_ process: Process, _ scratch: TemporaryFolder) throws {
    process.waitUntilExit()
    code = process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus
    output = try String(contentsOfFile: scratch.path("out"), encoding: .utf8)
    errors = try String(contentsOfFile: scratch.path("err"), encoding: .utf8)
  }

  /// Runs `quern` with `arguments`.
  package static func quern(_ arguments: String..., folder: String? = nil) throws -> CommandRun {
    try CommandRun(quern, arguments, folder: folder)
  }
}

extension CommandRun {
  /// Starts `program` and kills it as soon as `isTime` says so, asked every few milliseconds.
  /// - Returns: whether it was killed and had not ended by itself.
  package static func kill(
    _ program: String, _ arguments: [String], when isTime: () -> Bool
  ) throws -> Bool {
    try stop(program, arguments, with: SIGKILL, when: isTime).code == 128 + SIGKILL
  }

  /// The same with another signal, after which the program ends by itself.
  package static func stop(
    _ program: String, _ arguments: [String], with signal: Int32, when isTime: () -> Bool
  ) throws -> CommandRun {
    let scratch = try TemporaryFolder()
    let process = try process(program, arguments, scratch)
    try process.run()
    while process.isRunning, !isTime() { Thread.sleep(forTimeInterval: 0.002) }
    if process.isRunning { Foundation.kill(process.processIdentifier, signal) }
    return try CommandRun(process, scratch)
  }

  /// The same until it was stopped: a program that was quicker and ended well is started anew after `clear`.
  package static func stopped(
    _ program: String, _ arguments: [String], with signal: Int32 = SIGKILL, clear: () throws -> Void,
    when isTime: () -> Bool
  ) throws -> CommandRun {
    while true {
      let run = try stop(program, arguments, with: signal, when: isTime)
      if run.code != 0 { return run }
      try clear()
    }
  }
}

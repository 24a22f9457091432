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
    let (outPath, errPath) = (scratch.path("out"), scratch.path("err"))
    for path in [outPath, errPath] { _ = FileManager.default.createFile(atPath: path, contents: nil) }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    if let folder { process.currentDirectoryURL = URL(fileURLWithPath: folder) }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle(forWritingAtPath: outPath)
    process.standardError = FileHandle(forWritingAtPath: errPath)
    try process.run()
    process.waitUntilExit()
    code = process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus
    output = try String(contentsOfFile: outPath, encoding: .utf8)
    errors = try String(contentsOfFile: errPath, encoding: .utf8)
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
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    while process.isRunning, !isTime() { Thread.sleep(forTimeInterval: 0.002) }
    if process.isRunning { Foundation.kill(process.processIdentifier, SIGKILL) }
    process.waitUntilExit()
    return process.terminationReason == .uncaughtSignal
  }
}

import Foundation
import TestSupport
import Testing

@Suite struct HelpTests {
  /// Golden help texts. With QUERN_RECORD set they are written anew and the test fails, so that a change is always seen.
  @Test(arguments: [
    "", "inspect", "convert", "check", "split", "merge", "calibrate", "perplexity", "verify", "tokenize", "batch",
    "plan",
    "task", "finalize", "submit",
  ])
  func helpIsWhatItWas(_ command: String) throws {
    let run = try CommandRun(
      CommandRun.quern, (command.isEmpty ? [] : [command]) + ["--help"], environment: ["COLUMNS": "80"])
    #expect(run.code == 0)
    #expect(run.errors.isEmpty)
    let path = Fixtures.path("help/\(command.isEmpty ? "quern" : command).txt")
    if ProcessInfo.processInfo.environment["QUERN_RECORD"] != nil {
      try run.output.write(toFile: path, atomically: true, encoding: .utf8)
      Issue.record("recorded \(path)")
    }
    #expect(try run.output == String(contentsOfFile: path, encoding: .utf8))
  }

  @Test func anInstructionSetThatTheMachineHasNotIsWrongUsage() throws {
    let run = try CommandRun(CommandRun.quern, ["--version"], environment: ["QUERN_ISA": "v99"])
    #expect(run.code == 2)
    #expect(run.errors.contains("v99"))
  }

  @Test func printsItsVersion() throws {
    let run = try CommandRun.quern("--version")
    #expect(run.code == 0)
    #expect(run.output.split(separator: ".").count == 3)
  }

  @Test(arguments: [["frobnicate"], ["convert"], ["convert", "x"], ["inspect", "x", "--bogus"], ["tokenize", "x"]])
  func wrongUsageIsExitCode2(_ arguments: [String]) throws {
    let run = try CommandRun(CommandRun.quern, arguments)
    #expect(run.code == 2)
    #expect(run.output.isEmpty)
    #expect(run.errors.contains("Usage:") || run.errors.contains("Error:"))
  }
}

import ArgumentParser
import Bytes
import Conversion
import Quantization

/// `quern`: mills model weights.
@main struct Quern: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quern",
    abstract: "Turns downloaded model weights into small GGUF files and proves what was lost.",
    discussion: """
      quern convert ./Llama-3.2-1B --type Q4_K_M -o llama-q4km.gguf
      quern verify llama-q4km.gguf --against ./Llama-3.2-1B --text wiki.txt

      Results go to standard output, progress and messages to standard error. With --json the result is one JSON object.
      Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a quality gate failed, 65 bad data, 69 something needed is missing, \
      74 input or output failed, 75 try again (interrupted, the input changed, another process makes the output), 130 ended by \
      a second signal.
      """,
    version: Version.current,
    subcommands: [
      Inspect.self, Convert.self, Check.self, Split.self, Merge.self, Calibrate.self, Perplexity.self, Verify.self,
      Tokenize.self, Batch.self, Plan.self, RunTask.self, Finalize.self, Submit.self,
    ])

  static func main() {
    Machine.reportFailuresOfWriting()
    do {
      // A batch that is killed takes its jobs along.
      if !Machine.endsWithParent { throw Interrupted() }
      if let name = Machine.unknownInstructionSet {
        throw ValidationError("QUERN_ISA is \(printable(name)), which this machine has not; use baseline, v3 or v4.")
      }
      var command = try parseAsRoot()
      if let watched = command as? any WatchedCommand {
        try CurrentRun.begin(watched, arguments: Array(CommandLine.arguments.dropFirst()))
      }
      try command.run()
      CurrentRun.ended(.done)
    } catch {
      Outcome(error).exit(for: error)
    }
  }
}

/// How a run ended, as an exit code that scripts and schedulers can act on.
enum Outcome: Int32 {
  case done = 0
  case failed = 1
  case usage = 2
  case gateFailed = 3
  case badData = 65
  case missing = 69
  case inputOutput = 74
  case tryAgain = 75

  init(_ error: any Error) {
    switch error {
    case is SystemError: self = .inputOutput
    case let error as InputError:
      switch error.code {
      case .missing: self = .missing
      case .changed, .locked: self = .tryAgain
      case .path: self = .inputOutput
      default: self = .badData
      }
    case is Interrupted: self = .tryAgain
    case is RecipeError: self = .usage
    case is GateFailure, is BatchGateFailure: self = .gateFailed
    case is ManifestError: self = .usage
    case is CheckFailure: self = .badData
    default: self = .failed
    }
  }

  func exit(for error: any Error) -> Never {
    // ArgumentParser knows how to print help, versions and its own complaints; only its exit code 64 is not ours.
    if !(error is InputError || error is SystemError || error is RecipeError || error is GateFailure
      || error is CheckFailure || error is Interrupted || error is ManifestError || error is BatchFailure
      || error is BatchGateFailure)
    {
      let code = Quern.exitCode(for: error)
      let message = Quern.fullMessage(for: error)
      if code == .success {
        print(message)
        Self.done.leave()
      }
      if !message.isEmpty { CurrentRun.console.complain(message) }
      (code == .validationFailure ? Outcome.usage : self).leave()
    }
    CurrentRun.console.complain("quern: \(error)")
    leave()
  }

  private func leave() -> Never {
    CurrentRun.ended(self)
    Quern.exit(withError: ExitCode(rawValue))
  }
}

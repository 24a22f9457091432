import ArgumentParser
import Bytes
import Conversion

/// Which form of a model to read where a folder holds two.
struct LayoutOption: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Which form to read where a folder holds both: auto, hf or meta (consolidated.*.pth, there or in original/).",
      valueName: "form"))
  var layout = "auto"

  func validate() throws {
    if ModelInput.Layout(rawValue: layout) == nil {
      throw ValidationError(
        "--layout takes one of \(ModelInput.Layout.allCases.map(\.rawValue).joined(separator: ", ")).")
    }
  }

  var value: ModelInput.Layout { ModelInput.Layout(rawValue: layout) ?? .automatic }
}

/// Flags that say how to read an input that can be read in more than one way.
struct InputOptions: ParsableArguments {
  @OptionGroup var layout: LayoutOption

  @Option(
    help: ArgumentHelp(
      "What low rotary frequencies are divided by, which Meta's params.json does not say. (default: told by the shape)",
      valueName: "factor"))
  var ropeFactor: Double?

  @Flag(help: "First compare the files with Meta's checklist.chk.")
  var verifyInput = false

  func validate() throws {
    if let ropeFactor, !(1...1e6 ~= ropeFactor) {
      throw ValidationError("--rope-factor takes a number from 1 to 1000000.")
    }
  }

  /// Opens `path`, says what is unusual, and verifies its files first when that is asked for.
  func open(_ path: String, _ console: Console, jobs: Int) throws -> ModelInput {
    if verifyInput {
      let count = try InputChecklist(of: path, layout: layout.value).verify(jobs: jobs, progress: console.progress())
      console.say("\(path): \(count) files are what checklist.chk says")
    }
    let input = try ModelInput(opening: path, ModelInput.Options(layout: layout.value, ropeFactor: ropeFactor))
    for note in input.notes { console.say("note: \(note)") }
    return input
  }
}

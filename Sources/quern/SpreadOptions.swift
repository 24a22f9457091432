import ArgumentParser
import Bytes
import Conversion

/// The folder of a plan, and what its tasks work on.
struct SpreadOptions: ParsableArguments {
  @Argument(help: "The folder of quern plan.")
  var plan: String

  /// Opens the plan and what it is about; from here on, paths are relative to the folder that it was made in.
  func open(_ console: Console) throws -> (folder: SpreadFolder, flags: Plan, work: SpreadWork) {
    let folder = try SpreadFolder(reading: Machine.absolute(plan))
    guard let flags = try? Plan.parse(folder.plan.arguments) else {
      throw InputError(.type, "arguments that this version does not take", file: plan, remedy: "plan again")
    }
    try Machine.enterFolder(folder.plan.folder)
    return (folder, flags, try flags.work(console).work)
  }
}

extension SpreadPlan.Stage: ExpressibleByArgument {}

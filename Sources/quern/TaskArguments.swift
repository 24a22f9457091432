import ArgumentParser
import Bytes
import Conversion

/// Flags of a run of multiple-choice tasks.
struct TaskArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Answer the multiple-choice questions of this file with both models: JSON lines, or what llama-perplexity reads.",
      valueName: "file"))
  var tasks: String?

  @Option(
    help: ArgumentHelp(
      "Write the results of --tasks in the shape of lm-eval's results.json.", valueName: "file"))
  var tasksResults: String?

  func validate(hasReference: Bool, models: Int) throws {
    if tasks != nil, !hasReference { throw ValidationError("--tasks needs the model that --against names.") }
    if tasksResults != nil, tasks == nil { throw ValidationError("--tasks-results goes with --tasks.") }
    if tasksResults != nil, models > 1 { throw ValidationError("--tasks-results takes one model.") }
  }
}

extension TaskReport {
  /// For a person: a row a task and measure.
  var text: String {
    var table = TextTable(columns: [
      "task", "items", "measure", "reference %", "this model %", "right to wrong", "wrong to right", "same choice %",
    ])
    for group in groups + (all.map { [$0] } ?? []) {
      for tally in group.tallies {
        func share(_ value: Double) -> String {
          "\(decimals(value * 100, 2)) ± \(decimals(tally.standardError(value) * 100, 2))"
        }
        table.add([
          printable(group.task, limit: 40), "\(group.count)", tally.measure.rawValue, share(tally.referenceAccuracy),
          share(tally.quantizedAccuracy), "\(tally.lost)", "\(tally.won)", decimals(tally.sameChoice * 100, 2),
        ])
      }
    }
    return table.text
  }
}

extension JSONText {
  /// One object with the members of all.
  static func merged(_ objects: [JSONText?]) -> JSONText {
    .object(
      objects.flatMap { object -> [(String, JSONText)] in
        guard case .object(let members)? = object else { return [] }
        return members
      })
  }
}

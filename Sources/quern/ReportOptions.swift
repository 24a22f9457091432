import ArgumentParser
import Conversion

/// Flags of commands that can write a report to files.
struct ReportOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Write the report as one self-contained page.", valueName: "file"))
  var html: String?

  @Option(help: ArgumentHelp("Write the report as a table for a model card.", valueName: "file"))
  var markdown: String?

  @Flag(help: "Replace the files of the report and of --tasks-results if they exist.")
  var force = false

  var isAsked: Bool { html != nil || markdown != nil }

  /// - Parameters:
  ///   - tasks: takes the results of tasks.
  ///   - inputs: what is read, and therefore not to be replaced.
  func files(tasks: String?, sparing inputs: [String]) throws -> ReportFiles {
    try ReportFiles(html: html, markdown: markdown, tasks: tasks, overwrites: force, sparing: inputs)
  }
}

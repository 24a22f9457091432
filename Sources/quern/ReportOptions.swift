import ArgumentParser
import Conversion

/// Flags of commands that can write a report to files.
struct ReportOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Write the report as one self-contained page.", valueName: "file"))
  var html: String?

  @Option(help: ArgumentHelp("Write the report as a table for a model card.", valueName: "file"))
  var markdown: String?

  @Flag(help: "Replace the files of the report if they exist.")
  var force = false

  func validate() throws {
    if force, html == nil, markdown == nil { throw ValidationError("--force goes with --html or --markdown.") }
  }

  var isAsked: Bool { html != nil || markdown != nil }

  /// - Parameter inputs: what is read, and therefore not to be replaced.
  func files(sparing inputs: [String]) throws -> ReportFiles {
    try ReportFiles(html: html, markdown: markdown, overwrites: force, sparing: inputs)
  }
}

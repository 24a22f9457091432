import Bytes

/// Where a report goes besides standard output.
public struct ReportFiles: Sendable {
  private let html: String?
  private let markdown: String?
  private let tasks: String?
  private let overwrites: Bool

  /// Whether a report of drift will be written.
  public var areAsked: Bool { html != nil || markdown != nil }

  /// Makes sure that the files can be written, so that a mistake shows before a walk of hours and not after it. Nothing is
  /// left behind by that.
  /// - Parameters:
  ///   - tasks: takes the results of tasks.
  ///   - inputs: files and folders that are being read, none of which may be replaced.
  /// - Throws: `InputError` `PATH` when a name is taken and may not be replaced, or belongs to an input, or two are the
  ///   same; `SystemError` when a folder cannot be written.
  public init(html: String?, markdown: String?, tasks: String? = nil, overwrites: Bool, sparing inputs: [String]) throws
  {
    (self.html, self.markdown, self.tasks, self.overwrites) = (html, markdown, tasks, overwrites)
    let paths = [html, markdown, tasks].compactMap { $0 }
    for (index, path) in paths.enumerated() {
      if paths[..<index].contains(path) {
        throw InputError(.path, "is to hold two results", file: path, remedy: "give two names")
      }
      for input in inputs { try ReportFiles.refuse(path, asPartOf: input) }
      try OutputFile(path, overwrites: overwrites).discard()
    }
  }

  private static func refuse(_ path: String, asPartOf input: String) throws {
    guard let target = try SystemCalls.canonicalPath(path), let source = try SystemCalls.canonicalPath(input) else {
      return
    }
    if target == source || target.hasPrefix(source + "/") {
      throw InputError(.path, "is, or is part of, what is read", file: path, remedy: "give another name")
    }
  }

  /// Writes what was asked for; each file takes its name when it is whole.
  public func write(_ report: DriftReport) throws {
    if let html { try write(report.html, to: html) }
    if let markdown { try write(report.markdown, to: markdown) }
  }

  /// The same of the answers to tasks, in lm-eval's shape.
  public func write(_ results: TaskReport) throws {
    if let tasks { try write(results.lmEvalJSON.text(indented: true) + "\n", to: tasks) }
  }

  private func write(_ text: String, to path: String) throws {
    let file = try OutputFile(path, overwrites: overwrites)
    let bytes = Array(text.utf8)
    do {
      try unsafe file.write(bytes.span.bytes, at: 0)
      try file.publish()
    } catch {
      file.discard()
      throw error
    }
  }
}

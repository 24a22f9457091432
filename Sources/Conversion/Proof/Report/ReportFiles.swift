import Bytes

/// Where a report goes besides standard output.
public struct ReportFiles: Sendable {
  private let html: String?
  private let markdown: String?
  private let overwrites: Bool

  /// Whether anything will be written.
  public var areAsked: Bool { html != nil || markdown != nil }

  /// Makes sure that the files can be written, so that a mistake shows before a walk of hours and not after it. Nothing is
  /// left behind by that.
  /// - Parameter inputs: files and folders that are being read, none of which may be replaced.
  /// - Throws: `InputError` `PATH` when a name is taken and may not be replaced, or belongs to an input, or both are the
  ///   same; `SystemError` when a folder cannot be written.
  public init(html: String?, markdown: String?, overwrites: Bool, sparing inputs: [String]) throws {
    (self.html, self.markdown, self.overwrites) = (html, markdown, overwrites)
    let paths = [html, markdown].compactMap { $0 }
    if paths.count == 2, paths[0] == paths[1] {
      throw InputError(.path, "is to hold both the page and the table", file: paths[0], remedy: "give two names")
    }
    for path in paths {
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

  private func write(_ text: String, to path: String) throws {
    let file = try OutputFile(path, overwrites: overwrites)
    let bytes = Array(text.utf8)
    do {
      try unsafe file.write(bytes.span.bytes, at: 0)
    } catch {
      file.discard()
      throw error
    }
    try file.publish()
  }
}

import Bytes

/// Texts that are written beside an output, each whole or not at all.
public struct CompanionFiles: Sendable {
  private let overwrites: Bool

  /// Makes sure that the files can be written, so that a mistake shows before the work and not after it.
  /// - Throws: `PATH` when a name is taken and may not be; `SystemError` when a folder cannot be written.
  public init(_ paths: [String], overwrites: Bool) throws {
    self.overwrites = overwrites
    for path in paths { try OutputFile(path, overwrites: overwrites).discard() }
  }

  public func write(_ text: String, to path: String) throws {
    try OutputFile.write(text, to: path, overwrites: overwrites)
  }

  /// What the name of a file beside the output `path` is: `a/model.Modelfile` of `a/model.gguf`.
  public static func path(beside output: String, _ suffix: String) -> String { OutputSet.stem(output) + suffix }
}

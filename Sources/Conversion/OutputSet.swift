public import Bytes
public import GGUF

/// The files that one output consists of: a GGUF, or the members of a split set. They are made under temporary names and take
/// their own all together.
public struct OutputSet: Sendable {
  /// The first is the one to open a set by.
  public let files: [OutputFile]

  /// Creates the temporary files.
  /// - Parameters:
  ///   - path: of the file; of a set, what its names are made from: `a/model.gguf` or `a/model` for
  ///     `a/model-00001-of-00002.gguf`.
  ///   - layouts: one a file.
  ///   - overwrites: whether files under the final names may be replaced.
  /// - Throws: as `OutputFile`; nothing is left behind then.
  public init(_ path: String, _ layouts: [GGUFLayout], overwrites: Bool = false) throws {
    var files: [OutputFile] = []
    do {
      for name in OutputSet.names(path, layouts) { files.append(try OutputFile(name, overwrites: overwrites)) }
    } catch {
      for file in files { file.discard() }
      throw error
    }
    self.files = files
  }

  public init(_ file: OutputFile) { files = [file] }

  /// The final names.
  public static func names(_ path: String, _ layouts: [GGUFLayout]) -> [String] {
    guard layouts[0].isOfSet else { return [path] }
    let prefix = path.hasSuffix(".gguf") ? String(path.dropLast(".gguf".count)) : path
    return layouts.indices.map { GGUFLayout.setFileName(prefix, $0, of: layouts.count) }
  }

  /// As `OutputFile.publish`: a set is there as a whole or not at all.
  public func publish() throws { try OutputFile.publish(files) }

  public func discard() { for file in files { file.discard() } }
}

/// A file that was written.
public struct WrittenFile: Hashable, Sendable {
  public var path: String
  public var bytes: Int
  /// In hexadecimal.
  public var sha256: String

  public var json: JSONText {
    .object([("path", .string(path)), ("file_bytes", .int(bytes)), ("sha256", .string(sha256))])
  }
}

public import Bytes
public import GGUF

/// The files that one output consists of: a GGUF, or the members of a split set. They are made under temporary names and take
/// their own all together.
public struct OutputSet: Sendable {
  /// As the user gave it.
  public let path: String
  /// The first is the one to open a set by.
  public let files: [OutputFile]

  /// Creates the temporary files, or takes over those that an earlier run left.
  /// - Parameters:
  ///   - path: of the file; of a set, what its names are made from: `a/model.gguf` or `a/model` for
  ///     `a/model-00001-of-00002.gguf`.
  ///   - layouts: one a file.
  ///   - overwrites: whether files under the final names may be replaced.
  ///   - resumes: whether what an earlier run left stays in the files.
  ///   - isShared: whether several processes write the files, each its own part; as of `OutputFile`.
  /// - Throws: as `OutputFile`; nothing new is left behind then.
  public init(
    _ path: String, _ layouts: [GGUFLayout], overwrites: Bool = false, resumes: Bool = false, isShared: Bool = false
  ) throws {
    self.path = path
    let names = OutputSet.names(path, layouts)
    try OutputFile.takeBack(names)
    // Before anything is created.
    for name in names { try OutputFile.refuse(name, overwrites: overwrites) }
    files = try names.map { try OutputFile($0, overwrites: overwrites, resumes: resumes, isShared: isShared) }
  }

  public init(_ file: OutputFile) { (path, files) = (file.path, [file]) }

  /// The final names.
  public static func names(_ path: String, _ layouts: [GGUFLayout]) -> [String] {
    guard layouts[0].isOfSet else { return [path] }
    return layouts.indices.map { GGUFLayout.setFileName(stem(path), $0, of: layouts.count) }
  }

  /// What the names of a set, and of files beside an output, begin with: `a/model` of `a/model.gguf`.
  static func stem(_ path: String) -> String {
    path.hasSuffix(".gguf") ? String(path.dropLast(".gguf".count)) : path
  }

  /// Whether an earlier run left nothing.
  public var isNew: Bool { files.allSatisfy { $0.leftBytes == 0 } }

  /// Bytes of the file system that the files take when they have these sizes, besides those that they take already.
  public func missingBytes(for sizes: [Int]) throws -> Int {
    try zip(files, sizes).reduce(0) { try $0 + $1.0.missingBytes(for: $1.1) }
  }

  /// Gives every file its size and takes the room for it.
  /// - Parameter others: bytes that will be written to the same file system beside them.
  /// - Throws: `SystemError` `ENOSPC` when there is not enough for all.
  public func reserve(_ sizes: [Int], others: Int = 0) throws {
    var rest = try missingBytes(for: sizes) + others
    for (file, size) in zip(files, sizes) {
      rest -= try file.missingBytes(for: size)
      try file.reserve(size, others: rest)
    }
  }

  /// Empties the files of what an earlier run left.
  public func clear() throws { for file in files where file.leftBytes > 0 { try file.clear() } }

  /// As `OutputFile.publish`: a set is there as a whole or not at all.
  public func publish() throws { try OutputFile.publish(files) }

  public var isPublished: Bool { files.allSatisfy(\.isPublished) }
  public var isSpoilt: Bool { files.contains(where: \.isSpoilt) }
  public func keep() { for file in files { file.keep() } }
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

public import Bytes
import Synchronization

/// A folder that holds a model, and the only way to the files in it: a name from outside never leads out of it.
///
/// A file may be a link as long as what it leads to lies in the folder, or is a blob of the same Hugging Face cache, which
/// keeps `snapshots/REVISION/NAME` as a link to `../../blobs/HASH`.
public struct ModelFolder: Sendable {
  /// As the user gave it.
  public let path: String
  /// Absolute, without links.
  private let root: String
  /// The folder of blobs when this is a snapshot in a Hugging Face cache.
  private let blobs: String?
  /// What was opened in it and in folders reached from it.
  private let opened: OpenedFiles

  private final class OpenedFiles: Sendable {
    let identities = Mutex<[FileIdentity]>([])
  }

  /// - Throws: `MISSING` when nothing is there, `PATH` when it is not a folder.
  public init(_ path: String) throws { try self.init(path, OpenedFiles()) }

  private init(_ path: String, _ opened: OpenedFiles) throws {
    self.opened = opened
    guard !path.utf8.contains(0) else { throw InputError(.path, "the name holds a NUL byte", file: path) }
    let path = path.isEmpty ? "." : path
    guard let root = try SystemCalls.canonicalPath(path), let status = try SystemCalls.status(at: root) else {
      throw InputError(.missing, "no such folder", file: path, remedy: "check the path")
    }
    guard status.isDirectory else { throw InputError(.path, "is not a folder", file: path) }
    self.path = path
    self.root = root
    blobs = ModelFolder.blobs(of: root)
  }

  /// The names in the folder, sorted by their bytes.
  public func names() throws -> [String] { try SystemCalls.entries(of: root) }

  /// The folder `name` in this one, or `nil` when there is none.
  /// - Throws: `PATH` when it is a link that leads out of this folder.
  public func subfolder(_ name: String) throws -> ModelFolder? {
    guard let target = try resolve(name), try SystemCalls.status(at: target)?.isDirectory == true else { return nil }
    return try ModelFolder(joined(name), opened)
  }

  /// The folder that this one lies in, wherever a link to this one lies.
  public func parent() throws -> ModelFolder { try ModelFolder(joined(".."), opened) }

  /// The path of the file `name`, or `nil` when there is none.
  /// - Throws: `PATH` when the name leads out of the folder or to something that is no regular file.
  public func file(_ name: String) throws -> String? {
    guard let target = try resolve(name) else { return nil }
    guard let status = try SystemCalls.status(at: target), status.isRegular else {
      throw InputError(.path, "is not a regular file", file: joined(name))
    }
    return joined(name)
  }

  /// The file `name`, open.
  /// - Throws: as `file(_:)`, and `MISSING` when there is none.
  public func open(_ name: String) throws -> RandomAccessFile {
    guard let target = try resolve(name) else {
      throw InputError(.missing, "no such file", file: joined(name), remedy: "download the missing file")
    }
    let file = try RandomAccessFile(target, shownAs: joined(name))
    opened.identities.withLock { $0.append(file.identity) }
    return file
  }

  /// A model's files belong together: when the last of them is read, those that were read long before must still be the
  /// same.
  /// - Throws: `CHANGED` when one that was opened is no longer what it was.
  public func checkUnchanged() throws { for file in opened.identities.withLock(\.self) { try file.check() } }

  /// The paths of all files that were opened in it and in folders reached from it, sorted by their bytes.
  public var openedPaths: [String] {
    Set(opened.identities.withLock { $0.map { ExactString($0.path) } }).sorted().map(\.string)
  }

  /// The text of the JSON file `name`, or `nil` when there is none.
  public func json(_ name: String, limit: Int = 16 << 20) throws -> JSONDocument? {
    guard try resolve(name) != nil else { return nil }
    return try JSONDocument(parsing: open(name).readAll(limit: limit), file: joined(name))
  }

  /// The path for messages, and for whoever opens the file by it.
  public func joined(_ name: String) -> String { path.utf8.last == UInt8(ascii: "/") ? path + name : path + "/" + name }

  private func resolve(_ name: String) throws -> String? {
    let components = name.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    let isPlain = components.allSatisfy { !$0.isEmpty && !$0.elementsEqual(".".utf8) && !$0.elementsEqual("..".utf8) }
    guard isPlain, !name.utf8.contains(0) else {
      throw InputError(
        .path, "'\(printable(name))' is not the name of a file in the folder", file: path,
        remedy: "do not trust this model")
    }
    guard let target = try SystemCalls.canonicalPath(joined(name)) else { return nil }
    guard isInside(target) else {
      throw InputError(
        .path, "is a link that leads out of the folder, to \(target)", file: joined(name),
        remedy: "put the file itself in its place if you trust the link")
    }
    return target
  }

  private func isInside(_ target: String) -> Bool {
    if target.utf8.starts(with: root.utf8), target.utf8.dropFirst(root.utf8.count).first == UInt8(ascii: "/") {
      return true
    }
    if root == "/" { return true }
    guard let blobs, target.utf8.starts(with: blobs.utf8) else { return false }
    let name = target.utf8.dropFirst(blobs.utf8.count)
    return !name.isEmpty && !name.contains(UInt8(ascii: "/"))
  }

  /// `R/blobs/` for `R/snapshots/REVISION` and folders in it.
  private static func blobs(of root: String) -> String? {
    let components = root.split(separator: "/", omittingEmptySubsequences: false)
    guard let snapshots = components.lastIndex(of: "snapshots"), snapshots + 1 < components.count else { return nil }
    return components[..<snapshots].joined(separator: "/") + "/blobs/"
  }
}

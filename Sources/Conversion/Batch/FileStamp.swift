import Bytes

/// What tells a file from another version of itself without reading it.
struct FileStamp: Hashable {
  var path: String
  var bytes: Int
  var inode: UInt64
  var seconds: Int
  var nanoseconds: Int

  /// `nil` when no file is there.
  init?(_ path: String) throws {
    guard let status = try SystemCalls.status(at: path), status.isRegular else { return nil }
    (self.path, bytes, inode) = (path, status.size, status.inode)
    (seconds, nanoseconds) = (status.modifiedSeconds, status.modifiedNanoseconds)
  }

  /// Whether the same file is there now, under this name or another.
  func fits(_ path: String) throws -> Bool {
    guard var found = try FileStamp(path) else { return false }
    found.path = self.path
    return found == self
  }

  /// Of everything that is read when a model or another input is at `path`: the file, and where it is a folder or leads to
  /// other files, all files of the folder.
  static func text(of path: String) throws -> String {
    let name = OutputFile.split(path).name
    let leads = name.hasSuffix(".index.json") || name.contains("-of-0")
    var paths = [path]
    let isFolder = try SystemCalls.status(at: path)?.isDirectory ?? false
    if leads || isFolder {
      let folder = leads ? OutputFile.split(path).folder : path + "/"
      paths = try SystemCalls.entries(of: folder.isEmpty ? "." : folder).filter { !$0.hasPrefix(".") }
        .map { folder + $0 }
    }
    let stamps = try paths.compactMap { try FileStamp($0) }
    return RunState.hash { hash in
      for stamp in stamps { hash.update(data: Array("\(stamp)\n".utf8)) }
    }
  }

  var json: JSONText {
    .object([
      ("path", .string(path)), ("file_bytes", .int(bytes)), ("inode", .string("\(inode)")),
      ("modified", .array([.int(seconds), .int(nanoseconds)])),
    ])
  }

  init(_ json: JSONValue) throws {
    path = try json.required("path").string()
    bytes = try json.required("file_bytes").int()
    inode = UInt64(try json.required("inode").string()) ?? 0
    let times = Array(try json.required("modified").elements())
    guard times.count == 2 else { throw InputError(.type, "two numbers expected", subject: "modified") }
    (seconds, nanoseconds) = (try times[0].int(), try times[1].int())
  }
}

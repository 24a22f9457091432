extension OutputFile {
  /// Gives whole files that are on the disk other names, maybe in another folder of the same file system, which is there. Of
  /// several that belong together the first leads readers to the others and takes its name last, as in `publish`.
  /// - Parameters:
  ///   - files: at least one. What has its new name already, from a move that was cut short, keeps it.
  ///   - overwrites: whether files under the new names may be replaced.
  /// - Throws: `PATH` when a name is taken and may not be, before anything is moved; `SystemError`.
  package static func move(_ files: [(from: String, to: String)], overwrites: Bool) throws {
    precondition(!files.isEmpty, "nothing to move")
    let left = try files.filter { file in
      guard let from = try SystemCalls.status(at: file.from) else { return try SystemCalls.status(at: file.to) == nil }
      guard let to = try SystemCalls.status(at: file.to), (to.device, to.inode) == (from.device, from.inode) else {
        return true
      }
      try SystemCalls.unlink(file.from)
      return false
    }
    for file in left { try refuse(file.to, overwrites: overwrites) }
    if overwrites, files.count > 1, let leader = left.first, leader.to == files[0].to,
      try SystemCalls.status(at: leader.to) != nil
    {
      try SystemCalls.unlink(leader.to)
      try syncFolder(of: leader.to)
    }
    for file in left.dropFirst() + left.prefix(1) {
      if overwrites {
        try SystemCalls.rename(file.from, to: file.to)
      } else {
        // Only if nobody else took the name meanwhile.
        try SystemCalls.link(file.from, to: file.to)
        try SystemCalls.unlink(file.from)
      }
    }
    for path in [files[0].to, files[0].from] { try syncFolder(of: path) }
  }

  private static func syncFolder(of path: String) throws {
    let folder = split(path).folder
    let descriptor = try SystemCalls.openFolder(folder.isEmpty ? "." : folder)
    defer { try? SystemCalls.close(descriptor, path: folder) }
    try SystemCalls.sync(descriptor, path: path)
  }
}

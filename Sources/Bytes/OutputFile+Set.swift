extension OutputFile {
  /// Publishes files of one folder that belong together and of which the first leads readers to the others.
  ///
  /// All are settled before the first of them takes its name, and the leader takes its name last: until then no reader finds
  /// the set. An older set under the same names loses its leader before anything else, so that files of both are never read as
  /// one, not even after a loss of power; nothing but renaming is done until the new leader is there.
  ///
  /// - Parameter files: at least one.
  /// - Throws: `SystemError`; the temporary files are all still there then, and no name is taken, unless only the folder could
  ///   not be synced.
  public static func publish(_ files: [OutputFile]) throws {
    precondition(!files.isEmpty, "nothing to publish")
    let leader = files[0]
    for file in files { try file.settle() }
    var named: [OutputFile] = []
    do {
      if files.count > 1 {
        if try leader.giveWay() { try leader.syncFolder() }
        for file in files.dropFirst() {
          try file.takeName()
          named.append(file)
        }
        try leader.syncFolder()
      }
      try leader.takeName()
    } catch {
      for file in named { try? file.giveUpName() }
      throw error
    }
    for file in files { file.markPublished() }
    do {
      try leader.syncFolder()
    } catch var error as SystemError {
      error.remedy = "\(printable(leader.path)) is whole, but may not outlast a loss of power"
      throw error
    }
  }

  /// Takes back the names that a process which was killed while publishing had given to files of a set whose leader did not
  /// get its own: else they would be in the way of the run that goes on with them.
  /// - Parameter paths: the final names, the leader's first.
  /// - Throws: `LOCKED` when another process is publishing them.
  public static func takeBack(_ paths: [String]) throws {
    guard paths.count > 1, try SystemCalls.status(at: paths[0]) == nil else { return }
    for path in paths.dropFirst() {
      let temporary = temporaryPath(of: path)
      guard let published = try SystemCalls.status(at: path), let partial = try SystemCalls.status(at: temporary),
        published.device == partial.device, published.inode == partial.inode
      else { continue }
      let descriptor = try SystemCalls.openForUpdating(temporary)
      defer { try? SystemCalls.close(descriptor, path: temporary) }
      guard SystemCalls.lock(descriptor) else { throw locked(path) }
      if try SystemCalls.status(at: paths[0]) == nil { try SystemCalls.unlink(path) }
    }
  }
}

extension OutputFile {
  /// Publishes files of one folder that belong together and of which the first leads readers to the others.
  ///
  /// All are on the disk before the first of them takes its name, and the leader takes its name last: until then no reader
  /// finds the set. An older set under the same names loses its leader before anything else, so that files of both are never
  /// read as one, not even after a power failure; nothing but renaming is done until the new leader is there.
  ///
  /// On an error the temporary files are removed, and so are files of the set that had taken a free name.
  /// - Parameter files: at least one.
  public static func publish(_ files: [OutputFile]) throws {
    precondition(!files.isEmpty, "nothing to publish")
    let leader = files[0]
    var named: [OutputFile] = []
    do {
      for file in files { try file.sync() }
      if files.count > 1 {
        if try leader.giveWay() { try SystemCalls.syncDirectory(leader.folder) }
        for file in files.dropFirst() {
          try file.takeName()
          named.append(file)
        }
        try SystemCalls.syncDirectory(leader.folder)
      }
      try leader.takeName()
    } catch {
      for file in named { file.giveUpName() }
      for file in files { file.discard() }
      throw error
    }
    try SystemCalls.syncDirectory(leader.folder)
    for file in files { try file.close() }
  }
}

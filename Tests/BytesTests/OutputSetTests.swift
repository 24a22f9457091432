import Bytes
import TestSupport
import Testing

/// Files that are published together: all or none, the first one last.
@Suite struct OutputSetTests {
  private func files(
    _ folder: TemporaryFolder, _ names: [String], overwrites: Bool = false
  ) throws -> [OutputFile] {
    try names.enumerated().map { number, name in
      let file = try OutputFile(folder.path(name), overwrites: overwrites)
      let bytes: [UInt8] = [UInt8(number), 9]
      try unsafe bytes.withUnsafeBytes { unsafe try file.write($0, at: 0) }
      return file
    }
  }

  private func content(_ folder: TemporaryFolder, _ name: String) throws -> [UInt8] {
    try RandomAccessFile(folder.path(name)).readAll(limit: 9)
  }

  @Test func allTakeTheirNames() throws {
    let folder = try TemporaryFolder()
    try OutputFile.publish(files(folder, ["a", "b", "c"]))
    #expect(try folder.names() == ["a", "b", "c"])
    #expect(try content(folder, "c") == [2, 9])
  }

  /// Whichever member cannot take its name: the set is not there, and what took the name still is.
  @Test(arguments: ["a", "b", "c"]) func aTakenNameLeavesNoneOfThem(_ taken: String) throws {
    let folder = try TemporaryFolder()
    let files = try files(folder, ["a", "b", "c"])
    try folder.write(taken, [7])
    #expect(throws: (any Error).self) { try OutputFile.publish(files) }
    #expect(try folder.names() == [taken])
    #expect(try content(folder, taken) == [7])
  }

  @Test func anOlderSetIsReplaced() throws {
    let folder = try TemporaryFolder()
    for name in ["a", "b"] { try folder.write(name, [7]) }
    let files = try files(folder, ["a", "b"], overwrites: true)
    #expect(try content(folder, "a") == [7] && content(folder, "b") == [7])
    try OutputFile.publish(files)
    #expect(try folder.names() == ["a", "b"])
    #expect(try content(folder, "a") == [0, 9] && content(folder, "b") == [1, 9])
  }

  /// Failing while an older set is replaced, here because a folder is where a file should be: no leader, so nobody reads
  /// files of both as one set.
  @Test func whatFailsInTheMiddleOfReplacingLeavesNoLeader() throws {
    let folder = try TemporaryFolder()
    for name in ["a", "b"] { try folder.write(name, [7]) }
    let files = try files(folder, ["a", "b", "c"], overwrites: true)
    try folder.makeFolder("c/below")
    #expect(throws: (any Error).self) { try OutputFile.publish(files) }
    #expect(try !folder.names().contains("a"))
    #expect(try folder.names().allSatisfy { !$0.hasPrefix(".") })
  }
}

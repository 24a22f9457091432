import Bytes
import Foundation
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

  /// Whichever member cannot take its name: the set is not there, what took the name still is, and nothing is lost.
  @Test(arguments: ["a", "b", "c"]) func aTakenNameLeavesNoneOfThem(_ taken: String) throws {
    let folder = try TemporaryFolder()
    let files = try files(folder, ["a", "b", "c"])
    try folder.write(taken, [7])
    #expect(throws: (any Error).self) { try OutputFile.publish(files) }
    #expect(try folder.names() == [".a.partial", ".b.partial", ".c.partial", taken])
    #expect(try content(folder, taken) == [7])
    try folder.remove(taken)
    try OutputFile.publish(files)
    #expect(try folder.names() == ["a", "b", "c"])
    #expect(try content(folder, taken)[1] == 9)
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
    for file in files { file.discard() }
    #expect(try folder.names().allSatisfy { !$0.hasPrefix(".") })
  }

  /// As a process leaves it that is killed after it gave one file its name: the file is taken back, and goes on being made.
  @Test func namesOfAKilledPublishingAreTakenBack() throws {
    let folder = try TemporaryFolder()
    for name in ["a", "b", "c"] { try folder.write(".\(name).partial", [9]) }
    let paths = ["a", "b", "c"].map(folder.path)
    try FileManager.default.linkItem(atPath: folder.path(".b.partial"), toPath: paths[1])
    try OutputFile.takeBack(paths)
    #expect(try folder.names() == [".a.partial", ".b.partial", ".c.partial"])
    let files = try paths.map { try OutputFile($0, resumes: true) }
    #expect(files.allSatisfy { $0.leftBytes == 1 })
    try OutputFile.publish(files)
    #expect(try folder.names() == ["a", "b", "c"])
  }

  @Test func onlySuchNamesAreTakenBack() throws {
    let folder = try TemporaryFolder()
    let paths = ["a", "b"].map(folder.path)
    // Another file under the name.
    try folder.write(".b.partial", [9])
    try folder.write("b", [7])
    try OutputFile.takeBack(paths)
    #expect(try content(folder, "b") == [7])
    // A set that has its leader.
    try folder.remove("b")
    try FileManager.default.linkItem(atPath: folder.path(".b.partial"), toPath: paths[1])
    try folder.write("a", [7])
    try OutputFile.takeBack(paths)
    #expect(try content(folder, "b") == [9])
    // Another process at work.
    try folder.remove("a")
    try folder.remove("b")
    let busy = try OutputFile(paths[1])
    try FileManager.default.linkItem(atPath: folder.path(".b.partial"), toPath: paths[1])
    #expect { try OutputFile.takeBack(paths) } throws: { ($0 as? InputError)?.code == .locked }
    busy.discard()
  }
}

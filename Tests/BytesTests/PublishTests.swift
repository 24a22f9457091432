import Bytes
import Foundation
import TestSupport
import Testing

/// What becomes of an output when something goes wrong on the way.
@Suite struct PublishTests {
  private func write(_ bytes: [UInt8], to output: OutputFile, at offset: Int = 0) throws {
    try unsafe output.write(bytes.span.bytes, at: offset)
  }

  private func bytes(_ path: String) throws -> [UInt8] { try RandomAccessFile(path).readAll(limit: 100) }

  @Test func theSecondOfTwoIsToldAtOnce() throws {
    let folder = try TemporaryFolder()
    let first = try OutputFile(folder.path("out"))
    try write([1], to: first)
    #expect { try OutputFile(folder.path("out"), overwrites: true, resumes: true) } throws: {
      ($0 as? InputError)?.code == .locked
    }
    try first.publish()
    let second = try OutputFile(folder.path("out"), overwrites: true)
    try write([2], to: second)
    try second.publish()
    #expect(try bytes(folder.path("out")) == [2])
  }

  @Test func whatADeadRunLeftIsInNobodysWay() throws {
    let folder = try TemporaryFolder()
    try folder.write(".out.partial", [1, 2, 3])
    let output = try OutputFile(folder.path("out"))
    #expect(output.leftBytes == 0)
    try write([9], to: output)
    try output.publish()
    #expect(try bytes(folder.path("out")) == [9])
    #expect(try folder.names() == ["out"])
  }

  @Test func whatADeadRunLeftCanBeGoneOnWith() throws {
    let folder = try TemporaryFolder()
    try folder.write(".out.partial", [1, 2, 3])
    let output = try OutputFile(folder.path("out"), resumes: true)
    #expect(output.leftBytes == 3)
    try output.reserve(4)
    try write([4], to: output, at: 3)
    try output.publish()
    #expect(try bytes(folder.path("out")) == [1, 2, 3, 4])
  }

  /// A process was killed after it had given the file its name and before it could take the other one away.
  @Test func aPublishedFileIsNotWrittenToUnderItsOldName() throws {
    let folder = try TemporaryFolder()
    try folder.write("out", [1, 2, 3])
    try FileManager.default.linkItem(atPath: folder.path("out"), toPath: folder.path(".out.partial"))
    let output = try OutputFile(folder.path("out"), overwrites: true, resumes: true)
    #expect(output.leftBytes == 0)
    try write([9], to: output)
    #expect(try bytes(folder.path("out")) == [1, 2, 3])
    output.discard()
    #expect(try folder.names() == ["out"])
  }

  @Test func bytesThatAreOthersOnTheDiskAreFound() throws {
    let folder = try TemporaryFolder()
    let output = try OutputFile(folder.path("out"))
    try write([UInt8](repeating: 7, count: 50), to: output)
    try output.settle()
    try write([1, 2, 3], to: output, at: 50)
    let disk = try FileHandle(forUpdating: URL(fileURLWithPath: folder.path(".out.partial")))
    try disk.seek(toOffset: 51)
    try disk.write(contentsOf: [0x42])
    #expect(!output.isSpoilt)
    let error = #expect(throws: SystemError.self) { try output.publish() }
    #expect(error?.remedy?.contains("3 bytes at 50") == true)
    #expect(output.isSpoilt && !output.isPublished)
    output.discard()
    #expect(try folder.names().isEmpty)
  }

  @Test func roomThatIsNotThereIsToldWithFigures() throws {
    let folder = try TemporaryFolder()
    let output = try OutputFile(folder.path("out"))
    let error = #expect(throws: SystemError.self) { try output.reserve(1 << 60) }
    #expect(error?.description.contains("\(1 << 60) bytes are needed") == true)
    #expect(throws: SystemError.self) { try output.reserve(1, others: 1 << 60) }
    try output.reserve(1 << 16)
    output.discard()
  }

  @Test func lettingGoRemovesAllButWhatWasLeftOrKept() throws {
    let folder = try TemporaryFolder()
    do { _ = try OutputFile(folder.path("new")) }
    try folder.write(".left.partial", [1])
    do { _ = try OutputFile(folder.path("left"), resumes: true) }
    do {
      let output = try OutputFile(folder.path("kept"))
      try write([1], to: output)
      output.keep()
      output.discard()
    }
    #expect(try folder.names() == [".kept.partial", ".left.partial"])
  }

  @Test(arguments: ["link", "folder"]) func whatIsNoFileIsNotTakenForOne(_ what: String) throws {
    let folder = try TemporaryFolder()
    let victim = try folder.write("victim", [1])
    if what == "link" {
      try FileManager.default.createSymbolicLink(atPath: folder.path(".out.partial"), withDestinationPath: victim)
    } else {
      try folder.makeFolder(".out.partial")
    }
    #expect(throws: SystemError.self) { try OutputFile(folder.path("out")) }
    #expect(try bytes(victim) == [1])
  }

  @Test func aScratchFileHasNoName() throws {
    let folder = try TemporaryFolder()
    let scratch = try ScratchFile(beside: folder.path("out"))
    let bytes: [UInt8] = [1, 2, 3]
    try unsafe scratch.write(bytes.span.bytes, at: 2)
    #expect(try folder.names().isEmpty)
    var found = [UInt8](repeating: 9, count: 3)
    try unsafe found.withUnsafeMutableBytes { try unsafe scratch.read(at: 1, into: $0) }
    #expect(found == [0, 1, 2])
    #expect(throws: InputError.self) {
      try unsafe found.withUnsafeMutableBytes { try unsafe scratch.read(at: 3, into: $0) }
    }
  }
}

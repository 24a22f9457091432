import Bytes
import TestSupport
import Testing

@Suite struct RandomAccessFileTests {
  @Test func readsAnyRangeAndNothingBeyond() throws {
    let folder = try TemporaryFolder()
    let bytes = (0..<200 as Range<UInt8>).map { $0 }
    let file = try RandomAccessFile(folder.write("f", bytes))
    #expect(file.size == 200)
    #expect(try file.read(at: 0, count: 200) == bytes)
    #expect(try file.read(at: 17, count: 5) == [17, 18, 19, 20, 21])
    #expect(try file.read(at: 200, count: 0) == [])
    for (offset, count) in [(200, 1), (0, 201), (-1, 1), (0, -1), (.max, 1), (1, .max), (199, .max)] {
      #expect { try file.read(at: offset, count: count) } throws: { ($0 as? InputError)?.code == .truncated }
    }
    #expect(try file.readAll(limit: 200) == bytes)
    #expect { try file.readAll(limit: 199) } throws: { ($0 as? InputError)?.code == .limit }
  }

  @Test func opensRegularFilesOnlyAndNeverHangs() throws {
    let folder = try TemporaryFolder()
    for path in [folder.path, try folder.makeFIFO("fifo"), "/dev/null", "/dev/zero", "a\0b"] {
      #expect { try RandomAccessFile(path) } throws: { ($0 as? InputError)?.code == .path }
    }
    for path in [folder.path("none"), try folder.write("f", [1]) + "/below", ""] {
      #expect { try RandomAccessFile(path) } throws: { ($0 as? InputError)?.code == .missing }
    }
  }

  @Test func tellsThatAFileChanged() throws {
    let folder = try TemporaryFolder()
    let file = try RandomAccessFile(folder.write("f", [1, 2, 3, 4]))
    try file.checkUnchanged()
    try folder.write("f", [1, 2])
    #expect { try file.checkUnchanged() } throws: { ($0 as? InputError)?.code == .changed }
    #expect { try file.read(at: 0, count: 4) } throws: { ($0 as? InputError)?.code == .changed }
  }

  @Test func messagesShowThePathThatTheUserKnows() throws {
    let folder = try TemporaryFolder()
    let file = try RandomAccessFile(folder.write("blob", [1]), shownAs: "model.safetensors")
    #expect(file.path == "model.safetensors")
    #expect(try file.read(at: 0, count: 1) == [1])
    #expect { try RandomAccessFile(folder.path("none"), shownAs: "shown") } throws: {
      ($0 as? InputError)?.file == "shown"
    }
  }
}

@Suite struct OutputFileTests {
  private func write(_ bytes: [UInt8], to output: OutputFile, at offset: Int) throws {
    try unsafe bytes.withUnsafeBytes { unsafe try output.write($0, at: offset) }
  }

  @Test func takesItsNameOnlyWhenPublished() throws {
    let folder = try TemporaryFolder()
    let output = try OutputFile(folder.path("out"))
    #expect(try folder.names().filter { $0 == "out" }.isEmpty)
    #expect(try folder.names().count == 1)
    try output.reserve(6)
    try write([4, 5, 6], to: output, at: 3)
    try write([1, 2, 3], to: output, at: 0)
    try output.publish()
    #expect(try folder.names() == ["out"])
    #expect(try RandomAccessFile(folder.path("out")).readAll(limit: 6) == [1, 2, 3, 4, 5, 6])
  }

  @Test func replacesAFileOnlyWhenTold() throws {
    let folder = try TemporaryFolder()
    try folder.write("out", [9])
    #expect { try OutputFile(folder.path("out")) } throws: {
      ($0 as? InputError)?.code == .path && ($0 as? InputError)?.remedy?.contains("--force") == true
    }
    let output = try OutputFile(folder.path("out"), overwrites: true)
    try write([1, 2], to: output, at: 0)
    #expect(try RandomAccessFile(folder.path("out")).readAll(limit: 9) == [9])
    try output.publish()
    #expect(try RandomAccessFile(folder.path("out")).readAll(limit: 9) == [1, 2])
    #expect(try folder.names() == ["out"])
  }

  @Test func aNameTakenMeanwhileIsNotReplaced() throws {
    let folder = try TemporaryFolder()
    let output = try OutputFile(folder.path("out"))
    try write([1], to: output, at: 0)
    try folder.write("out", [7])
    #expect(throws: (any Error).self) { try output.publish() }
    #expect(!output.isPublished)
    output.discard()
    #expect(try folder.names() == ["out"])
    #expect(try RandomAccessFile(folder.path("out")).readAll(limit: 9) == [7])
  }

  @Test func discardingLeavesNothing() throws {
    let folder = try TemporaryFolder()
    let output = try OutputFile(folder.path("out"))
    try write([1], to: output, at: 0)
    output.discard()
    #expect(try folder.names() == [])
  }

  @Test func readsBackWhatItWrote() throws {
    let folder = try TemporaryFolder()
    let output = try OutputFile(folder.path("out"))
    defer { output.discard() }
    try write([1, 2, 3], to: output, at: 0)
    var bytes = [UInt8](repeating: 0, count: 8)
    let count = try unsafe bytes.withUnsafeMutableBytes { unsafe try output.read(at: 1, into: $0) }
    #expect(count == 2 && bytes[..<2] == [2, 3])
  }

  @Test func whereNothingCanBeWrittenItSaysSo() throws {
    let folder = try TemporaryFolder()
    try folder.makeFolder("taken")
    #expect { try OutputFile(folder.path("none/out")) } throws: { $0 is SystemError }
    #expect { try OutputFile(folder.path("taken"), overwrites: true) } throws: { ($0 as? InputError)?.code == .path }
    #expect { try OutputFile("") } throws: { ($0 as? InputError)?.code == .path }
    #expect { try OutputFile("a\0b") } throws: { ($0 as? InputError)?.code == .path }
  }
}

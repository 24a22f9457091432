import Bytes
import TestSupport
import Testing

/// Whole files that are given other names.
@Suite struct MovingTests {
  private func text(_ path: String) throws -> String {
    String(decoding: try RandomAccessFile(path).readAll(limit: 100), as: UTF8.self)
  }

  @Test(arguments: [1, 3]) func filesTakeTheirNewNames(_ count: Int) throws {
    let folder = try TemporaryFolder()
    try folder.makeFolder("out")
    let files = try (0..<count).map { (from: try folder.write("wait/\($0)", "\($0)"), to: folder.path("out/\($0)")) }
    try OutputFile.move(files, overwrites: false)
    for (number, file) in files.enumerated() { #expect(try text(file.to) == "\(number)") }
    #expect(try SystemCalls.entries(of: folder.path("wait")).isEmpty)
  }

  @Test func aNameThatIsTakenKeepsItsFileAndNothingIsMoved() throws {
    let folder = try TemporaryFolder()
    let files = try ["a", "b"].map { (from: try folder.write("wait/\($0)", "new"), to: folder.path("out/\($0)")) }
    try folder.write("out/b", "old")
    let error = #expect(throws: InputError.self) { try OutputFile.move(files, overwrites: false) }
    #expect(error?.code == .path)
    #expect(try text(folder.path("out/b")) == "old")
    #expect(try SystemCalls.entries(of: folder.path("wait")) == ["a", "b"])
    try OutputFile.move(files, overwrites: true)
    #expect(try text(folder.path("out/b")) == "new")
  }

  /// Killed after any of its steps, the same move comes to the same end.
  @Test func aMoveThatWasCutShortIsFinished() throws {
    let folder = try TemporaryFolder()
    let files = try ["a", "b", "c"].map { (from: try folder.write("wait/\($0)", $0), to: folder.path("out/\($0)")) }
    try folder.makeFolder("out")
    try SystemCalls.rename(files[1].from, to: files[1].to)
    try SystemCalls.link(files[2].from, to: files[2].to)
    try OutputFile.move(files, overwrites: false)
    #expect(try SystemCalls.entries(of: folder.path("out")) == ["a", "b", "c"])
    #expect(try SystemCalls.entries(of: folder.path("wait")).isEmpty)
  }
}

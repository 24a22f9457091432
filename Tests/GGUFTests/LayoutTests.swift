import Bytes
import GGUF
import Tensors
import TestSupport
import Testing

@Suite struct LayoutTests {
  private func code(
    _ metadata: Metadata = Metadata(), _ tensors: [(name: String, dtype: DType, shape: Shape)] = [],
    alignment: Int? = nil
  ) -> InputError.Code? {
    do throws(InputError) {
      _ = try GGUFLayout(metadata: metadata, tensors: tensors, alignment: alignment)
      return nil
    } catch { return error.code }
  }

  private func key(_ key: String, _ value: MetadataValue = .bool(true)) -> Metadata {
    var metadata = Metadata()
    metadata[key] = value
    return metadata
  }

  @Test func refusesWhatTheReaderWouldRefuse() throws {
    let row = try Shape([32])
    #expect(code(key("")) == .name)
    #expect(code(key("é")) == .name)
    #expect(code(key(String(repeating: "k", count: 65_536))) == .name)
    #expect(code(key("general.alignment", .uint64(32))) == .type)
    #expect(code(key("general.alignment", .uint32(48))) == .alignment)
    #expect(code(key("general.alignment", .uint32(1 << 31))) == .bounds)
    #expect(code(key("general.alignment", .uint32(64)), alignment: 32) == .alignment)
    #expect(code(alignment: 48) == .alignment)
    #expect(code(alignment: -32) == .alignment)
    #expect(code(Metadata(), [("", .f32, row)]) == .name)
    #expect(code(Metadata(), [(String(repeating: "w", count: 64), .f32, row)]) == .name)
    #expect(code(Metadata(), [("w\u{0}", .f32, row)]) == .name)
    #expect(code(Metadata(), [("w", .f32, row), ("w", .f16, row)]) == .duplicate)
    #expect(code(Metadata(), [("w", .f32, try Shape([1, 1, 1, 1, 1]))]) == .shape)
    #expect(code(Metadata(), [("w", .q4_0, try Shape([32, 33]))]) == .shape)
    #expect(code(Metadata(), [("w", .q4_K, try Shape([256, 32]))]) == .shape)
    #expect(code(Metadata(), [("w", .u16, row)]) == .type)
    #expect(code(Metadata(), [("w", .f32, try Shape([1 << 62]))]) == .overflow)
    #expect(code(Metadata(), [("v", .i8, try Shape([1 << 62])), ("w", .i8, try Shape([1 << 62]))]) == .overflow)
  }

  @Test func namesThatOnlyLookAlikeAreTwoTensors() throws {
    #expect(code(Metadata(), [("\u{E9}", .f32, try Shape([8])), ("e\u{301}", .f32, try Shape([8]))]) == nil)
  }

  @Test func anAlignmentOtherThan32IsWrittenDown() throws {
    let layout = try GGUFLayout(metadata: Metadata(), tensors: [("w", .f32, Shape([1]))], alignment: 256)
    #expect(layout.metadata["general.alignment"] == .uint32(256))
    #expect(layout.dataOffset == 256)
    #expect(layout.fileSize == 512)
    let plain = try GGUFLayout(metadata: Metadata(), tensors: [("w", .f32, Shape([1]))], alignment: 32)
    #expect(plain.metadata.keys.isEmpty)
    #expect(try GGUFLayout(metadata: key("general.alignment", .uint32(64)), tensors: []).alignment == 64)
  }

  @Test func version2IsReadLikeVersion3() throws {
    var bytes = try RandomAccessFile(Fixtures.path("gguf/everything.gguf")).readAll(limit: 1 << 20)
    bytes[4] = 2
    let folder = try TemporaryFolder()
    let file = try GGUFFile(reading: folder.write("v2.gguf", bytes))
    #expect(file.version == 2)
    #expect(file.metadata == (try GGUFFile(reading: Fixtures.path("gguf/everything.gguf")).metadata))
  }

  /// Strings that straddle the reader's buffer in every way.
  @Test func longVocabulariesComeBackWhole() throws {
    var metadata = Metadata()
    var random = SeededGenerator(seed: 7)
    let words = (0..<60_000).map { index in
      String(repeating: ["a", "é", "🪨"][index % 3], count: Int.random(in: 0...20, using: &random)) + String(index)
    }
    metadata["before"] = .strings([String(repeating: "x", count: 1_000_000)])
    metadata["words"] = .strings(words)
    metadata["numbers"] = .float64s((0..<100_000).map { Double($0) / 3 })
    metadata["after"] = .strings(words.reversed())
    let folder = try TemporaryFolder()
    let file = try GGUFFile(reading: folder.write("a.gguf", GGUFLayout(metadata: metadata, tensors: []).header))
    #expect(file.metadata == metadata)
  }

  @Test(arguments: [-1, 1]) func writingOutsideOfATensorTraps(_ row: Int) async {
    await #expect(processExitsWith: .failure) { [row] in
      let folder = try TemporaryFolder()
      let layout = try GGUFLayout(
        metadata: Metadata(), tensors: [("v", .f32, Shape([1, 8])), ("w", .f32, Shape([1, 8]))])
      let writer = try GGUFWriter(layout, to: OutputFile(folder.path("a.gguf")))
      try unsafe [UInt8](repeating: 1, count: 32).withUnsafeBytes { try unsafe writer.write($0, tensor: 0, row: row) }
    }
  }
}

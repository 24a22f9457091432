import Bytes
import GGUF
import Tensors
import TestSupport
import Testing

@Suite struct SplitTests {
  /// A file of a set, with one tensor.
  private func shard(
    _ number: UInt16?, of count: UInt16, tensors total: Int32? = nil, name: String = "w"
  ) throws -> [UInt8] {
    var metadata = Metadata()
    metadata["split.no"] = number.map { .uint16($0) }
    metadata["split.count"] = .uint16(count)
    metadata["split.tensors.count"] = total.map { .int32($0) }
    let layout = try GGUFLayout(metadata: metadata, tensors: [(name, .f32, Shape([8]))])
    return layout.header + [UInt8](repeating: 0, count: 32)
  }

  private func code(_ path: String) -> InputError.Code? {
    do {
      _ = try GGUFModel(opening: path)
      return nil
    } catch { return (error as? InputError)?.code }
  }

  @Test func case141AShardIsMissing() throws {
    let folder = try TemporaryFolder()
    #expect(try code(folder.write("m-00001-of-00002.gguf", shard(0, of: 2))) == .missing)
    #expect(try code(folder.write("m-00001-of-65535.gguf", shard(0, of: 65535))) == .missing)
    #expect(try code(folder.write("m-00003-of-00002.gguf", shard(2, of: 2))) == .missing)
    #expect(try code(folder.write("m-00002-of-00001.gguf", shard(1, of: 1))) == .missing)
    #expect(try code(folder.write("n-00001-of-00002.gguf", shard(nil, of: 2))) == .missing)
    try folder.write("o-00001-of-00002.gguf", shard(0, of: 2, tensors: 3))
    #expect(try code(folder.write("o-00002-of-00002.gguf", shard(1, of: 2, name: "v"))) == .missing)
  }

  @Test func aFileUnderAnothersNameIsRefused() throws {
    let folder = try TemporaryFolder()
    let first = try folder.write("m-00001-of-00002.gguf", shard(0, of: 2))
    try folder.write("m-00002-of-00002.gguf", shard(0, of: 2, name: "v"))
    #expect(code(first) == .missing)
    try folder.write("m-00002-of-00002.gguf", shard(1, of: 3, name: "v"))
    #expect(code(first) == .missing)
    #expect(try code(folder.write("model.gguf", shard(0, of: 2))) == .name)
  }

  private func message(_ path: String) -> String {
    do {
      _ = try GGUFModel(opening: path)
      return "opened"
    } catch { return "\(error)" }
  }

  @Test func whatIsMissingIsNamed() throws {
    let folder = try TemporaryFolder()
    let first = try folder.write("m-00001-of-00004.gguf", shard(0, of: 4))
    #expect(message(first).contains("3 are not") && message(first).contains("m-00003-of-00004.gguf"))
    try folder.write("m-00002-of-00004.gguf", shard(1, of: 4, name: "v"))
    try folder.write("m-00004-of-00004.gguf", shard(3, of: 4, name: "x"))
    #expect(message(first).contains("one is not") && message(first).contains("m-00003-of-00004.gguf"))
    #expect(!message(first).contains("m-00002"))
    // From whichever file it is opened.
    #expect(message(folder.path("m-00004-of-00004.gguf")).contains("m-00003-of-00004.gguf"))
  }

  /// Of a set of another model under the right name and number: the totals differ.
  @Test func aFileOfAnotherSetIsRefused() throws {
    let folder = try TemporaryFolder()
    let first = try folder.write("m-00001-of-00002.gguf", shard(0, of: 2, tensors: 2))
    let second = try folder.write("m-00002-of-00002.gguf", shard(1, of: 2, tensors: 9, name: "v"))
    for path in [first, second] {
      #expect(code(path) == .missing)
      #expect(message(path).contains("of 9 tensors") && message(path).contains("of 2"))
    }
    try folder.write("m-00002-of-00002.gguf", shard(1, of: 2, name: "v"))
    #expect(code(first) == .missing)
    try folder.write("m-00002-of-00002.gguf", shard(1, of: 2, tensors: 2, name: "v"))
    #expect(code(first) == nil)
  }

  @Test func aTensorInTwoFilesIsRefused() throws {
    let folder = try TemporaryFolder()
    let first = try folder.write("m-00001-of-00002.gguf", shard(0, of: 2))
    try folder.write("m-00002-of-00002.gguf", shard(1, of: 2))
    #expect(code(first) == .duplicate)
    try folder.write("m-00002-of-00002.gguf", shard(1, of: 2, name: "v"))
    #expect(code(first) == nil)
  }

  @Test func splitKeysMustBeWholeNumbers() throws {
    let folder = try TemporaryFolder()
    var metadata = Metadata()
    metadata["split.count"] = .string("2")
    let layout = try GGUFLayout(metadata: metadata, tensors: [])
    #expect(try code(folder.write("a.gguf", layout.header)) == .type)
    metadata["split.count"] = .int32(-1)
    #expect(try code(folder.write("b.gguf", GGUFLayout(metadata: metadata, tensors: []).header)) == .type)
  }

  @Test func aMergedFileIsASetOfOne() throws {
    let folder = try TemporaryFolder()
    let model = try GGUFModel(opening: folder.write("merged.gguf", shard(0, of: 0)))
    #expect(model.files.count == 1)
    #expect(model.metadata.keys.isEmpty)
    #expect(model.tensors.count == 1)
    #expect(!model.isSet && model.name == "merged")
  }

  /// llama-gguf-split writes such a set when everything fits.
  @Test func aSetOfOneIsASet() throws {
    let tensors = [(name: "w", dtype: DType.f32, shape: try Shape([8]))]
    let one = try GGUFLayout.set(metadata: Metadata(), tensors: tensors, limits: .none, keepsOne: true)
    #expect(one.count == 1 && one[0].metadata.keys == ["split.no", "split.tensors.count", "split.count"])
    let folder = try TemporaryFolder()
    let path = try folder.write("m-00001-of-00001.gguf", one[0].header + [UInt8](repeating: 0, count: 32))
    let model = try GGUFModel(opening: path)
    #expect(model.isSet && model.name == "m" && model.metadata.keys.isEmpty)
  }

  @Test func sizesDecideWhereASetIsCut() throws {
    let tensors = try [32, 8, 8, 100, 8].enumerated().map {
      (name: "t\($0.offset)", dtype: DType.f32, shape: try Shape([$0.element]))
    }
    // Padded: 128, 32, 32, 416, 32.
    func files(_ bytes: Int) throws -> [[String]] {
      try GGUFLayout.set(metadata: Metadata(), tensors: tensors, limits: SplitLimits(maximumBytes: bytes)).map {
        $0.entries.map(\.name)
      }
    }
    #expect(try files(1000) == [["t0", "t1", "t2", "t3", "t4"]])
    #expect(try files(192) == [["t0", "t1", "t2"], ["t3"], ["t4"]])
    #expect(try files(191) == [["t0", "t1"], ["t2"], ["t3"], ["t4"]])
    #expect(try files(1) == [["t0"], ["t1"], ["t2"], ["t3"], ["t4"]])
    #expect(try GGUFLayout.set(metadata: Metadata(), tensors: tensors, limits: .none)[0].metadata.keys.isEmpty)
  }
}

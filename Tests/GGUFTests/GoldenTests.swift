import Bytes
import GGUF
import Tensors
import TestSupport
import Testing

/// Against files that gguf-py and llama-gguf-split wrote (fixtures/gguf/README.md).
@Suite struct GoldenTests {
  private static let everything: [(String, MetadataValue)] = [
    ("general.architecture", .string("llama")),
    ("scalar.uint8", .uint8(200)), ("scalar.int8", .int8(-100)), ("scalar.uint16", .uint16(60000)),
    ("scalar.int16", .int16(-30000)), ("scalar.uint32", .uint32(4_000_000_000)),
    ("scalar.int32", .int32(-2_000_000_000)), ("scalar.float32", .float32(0.1)), ("scalar.bool", .bool(true)),
    ("scalar.string", .string("Mühlstein 🪨")), ("scalar.uint64", .uint64(.max)), ("scalar.int64", .int64(.min)),
    ("scalar.float64", .float64(0.1)),
    ("array.uint8", .uint8s([1, 255])), ("array.int8", .int8s([-128, 127])), ("array.uint16", .uint16s([1, 65535])),
    ("array.int16", .int16s([-32768, 2])), ("array.uint32", .uint32s([3, .max])), ("array.int32", .int32s([.min, 4])),
    ("array.float32", .float32s([0.5, -0.1])), ("array.bool", .bools([true, false, true])),
    ("array.string", .strings(["", "a b", "\u{E9}", "e\u{301}"])), ("array.uint64", .uint64s([5, .max])),
    ("array.int64", .int64s([.min, 6])), ("array.float64", .float64s([1e300, -0.1])),
  ]

  @Test func readsWhatGgufPyWrote() throws {
    let file = try GGUFFile(reading: Fixtures.path("gguf/everything.gguf"))
    #expect(file.metadata.keys == Self.everything.map(\.0))
    for (key, value) in Self.everything { #expect(file.metadata[key] == value, "\(key)") }
    guard case .strings(let strings) = file.metadata["array.string"] else { return }
    #expect(strings.map { Array($0.utf8) } == [[], [97, 32, 98], [0xC3, 0xA9], [0x65, 0xCC, 0x81]])
    #expect(file.tensors.map(\.name) == ["f32", "f16", "q8_0", "q4_0", "bf16"])
    #expect(file.tensors.map(\.dtype) == [.f32, .f16, .q8_0, .q4_0, .bf16])
    #expect(file.tensors.map(\.shape.dimensions) == [[2, 3], [2, 3, 4], [3, 64], [6, 32], [2, 5]])
    // As gguf-py's own reader gives them.
    #expect(file.offsets == [1216, 1248, 1312, 1536, 1664])
    let floats = (0..<6).map { Float($0 - 96) / 8 }
    #expect(
      try file.tensors[0].read(rows: 0..<2)
        == floats.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> (8 * $0)) } })
  }

  @Test(arguments: [
    "everything.gguf", "set-00001-of-00003.gguf", "set-00002-of-00003.gguf", "set-00003-of-00003.gguf",
  ]) func writesTheSameBytes(_ name: String) throws {
    let golden = try GGUFFile(reading: Fixtures.path("gguf/\(name)"))
    let layout = try GGUFLayout(
      metadata: golden.metadata, tensors: golden.tensors.map { ($0.name, $0.dtype, $0.shape) })
    let folder = try TemporaryFolder()
    try write(layout, golden.tensors, to: folder.path(name))
    #expect(try bytes(folder.path(name)) == bytes(golden.path))
  }

  @Test func opensASetFromAnyOfItsFiles() throws {
    let whole = try GGUFFile(reading: Fixtures.path("gguf/everything.gguf"))
    for number in 0..<3 {
      let model = try GGUFModel(
        opening: Fixtures.path(GGUFLayout.setFileName("gguf/set", number, of: 3)))
      #expect(model.files.count == 3)
      #expect(model.metadata == whole.metadata)
      #expect(model.places.map(\.file) == [0, 0, 1, 1, 2])
      #expect(model.tensors.map(\.name) == whole.tensors.map(\.name))
      for tensor in whole.tensors {
        let same = try #require(model.tensor(tensor.name))
        #expect(same.shape == tensor.shape)
        #expect(try same.read(rows: 0..<same.rows) == tensor.read(rows: 0..<tensor.rows))
      }
    }
  }

  @Test func splitsAsGgufSplitDoes() throws {
    let whole = try GGUFFile(reading: Fixtures.path("gguf/everything.gguf"))
    let layouts = try GGUFLayout.set(
      metadata: whole.metadata, tensors: whole.tensors.map { ($0.name, $0.dtype, $0.shape) },
      limits: SplitLimits(maximumTensors: 2))
    #expect(layouts.count == 3)
    let folder = try TemporaryFolder()
    for (number, layout) in layouts.enumerated() {
      let name = GGUFLayout.setFileName("set", number, of: layouts.count)
      try write(layout, layout.entries.map { whole.tensor($0.name)! }, to: folder.path(name))
      #expect(try bytes(folder.path(name)) == bytes(Fixtures.path("gguf/\(name)")))
    }
  }

  private func write(_ layout: GGUFLayout, _ tensors: [Tensor], to path: String) throws {
    let output = try OutputFile(path)
    let writer = try GGUFWriter(layout, to: output)
    for (index, tensor) in tensors.enumerated() {
      let rows = try tensor.read(rows: 0..<tensor.rows)
      try unsafe rows.withUnsafeBytes { try unsafe writer.write($0, tensor: index) }
    }
    try output.publish()
  }

  private func bytes(_ path: String) throws -> [UInt8] { try RandomAccessFile(path).readAll(limit: 1 << 20) }
}

import Bytes
import GGUF
import Tensors
import TestSupport
import Testing

@Suite struct RoundTripTests {
  private static let everyType: [(String, MetadataValue)] = [
    ("a.uint8", .uint8(.max)), ("a.int8", .int8(.min)), ("a.uint16", .uint16(.max)), ("a.int16", .int16(.min)),
    ("a.uint32", .uint32(.max)), ("a.int32", .int32(.min)), ("a.uint64", .uint64(.max)), ("a.int64", .int64(.min)),
    ("a.float32", .float32(-0.0)), ("a.float64", .float64(.leastNonzeroMagnitude)), ("a.bool", .bool(true)),
    ("a.no", .bool(false)), ("a.string", .string("\u{E9}e\u{301}\u{0}\n😀")), ("a.empty", .string("")),
    ("b.uint8", .uint8s([0, .max])), ("b.int8", .int8s([.min, -1])), ("b.uint16", .uint16s([1, .max])),
    ("b.int16", .int16s([.min, 5])), ("b.uint32", .uint32s([.max, 7])), ("b.int32", .int32s([.min, 8, 9])),
    ("b.uint64", .uint64s([.max])), ("b.int64", .int64s([.min, -2])), ("b.float32", .float32s([.infinity, 1.5])),
    ("b.float64", .float64s([-.infinity, .pi])), ("b.bool", .bools([true, false, true])),
    ("b.string", .strings(["", "é", "a b", String(repeating: "x", count: 70_000)])),
    ("c.uint8", .uint8s([])), ("c.float64", .float64s([])), ("c.bool", .bools([])), ("c.string", .strings([])),
  ]

  @Test func everyMetadataTypeComesBackAsItWas() throws {
    var metadata = Metadata()
    for (key, value) in Self.everyType { metadata[key] = value }
    let layout = try GGUFLayout(metadata: metadata, tensors: [])
    let folder = try TemporaryFolder()
    let back = try GGUFFile(reading: folder.write("a.gguf", layout.header))
    #expect(back.metadata == metadata)
    #expect(back.metadata.keys == Self.everyType.map(\.0))
    #expect(back.version == 3)
    #expect(back.tensors.isEmpty)
  }

  @Test(arguments: DType.allCases.filter { $0.ggmlID != nil }, [32, 8, 4096])
  func everyTensorTypeComesBackAsItWas(_ dtype: DType, _ alignment: Int) throws {
    let block = dtype.blockElements
    let shapes = try [[block], [3, 2 * block], [2, 1, 3 * block], [1, 2, 2, block], [0, block], [5, block]].map {
      try Shape($0)
    }
    let tensors = shapes.enumerated().map { (name: "t\($0.offset).weight", dtype: dtype, shape: $0.element) }
    let layout = try GGUFLayout(metadata: Metadata(), tensors: tensors, alignment: alignment)
    let folder = try TemporaryFolder()
    let output = try OutputFile(folder.path("a.gguf"))
    let writer = try GGUFWriter(layout, to: output)
    // Rows in an order that has nothing to do with the file's.
    for index in tensors.indices.reversed() {
      let entry = layout.entries[index]
      for row in (0..<entry.shape.rows).reversed() {
        try unsafe Self.bytes(index, row, entry.rowBytes).withUnsafeBytes {
          try unsafe writer.write($0, tensor: index, row: row)
        }
      }
    }
    try output.publish()

    let back = try GGUFFile(reading: folder.path("a.gguf"))
    #expect(back.alignment == alignment)
    #expect(back.file.size == layout.fileSize)
    #expect(back.offsets == layout.entries.map(\.offset))
    for (index, tensor) in back.tensors.enumerated() {
      #expect(tensor.name == tensors[index].name)
      #expect(tensor.dtype == dtype)
      #expect(tensor.shape == shapes[index])
      #expect(back.offsets[index] % alignment == 0)
      let expected = (0..<tensor.rows).flatMap { Self.bytes(index, $0, tensor.rowBytes) }
      #expect(try tensor.read(rows: 0..<tensor.rows) == expected)
    }
  }

  private static func bytes(_ tensor: Int, _ row: Int, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ row &* 31 &+ tensor &* 101 &+ 1) }
  }
}

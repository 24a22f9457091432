import Bytes
import Conversion
import Quantization
import Tensors
import TestSupport
import Testing

@Suite struct ValueTests {
  @Test(arguments: [
    (0.0, 2, "0.00"), (1.005, 1, "1.0"), (12.3456, 2, "12.35"), (-0.5, 0, "-1"), (-0.001, 2, "0.00"),
    (9.999, 2, "10.00"),
    (0.05, 3, "0.050"), (1e9, 1, "1000000000.0"), (.nan, 2, "nan"), (.infinity, 2, "inf"),
  ]) func decimalsAreFixed(value: Double, places: Int, text: String) {
    #expect(decimals(value, places) == text)
  }

  @Test(arguments: [
    ("int", "7", MetadataValue.uint32(7)), ("int", "-7", .int64(-7)), ("int", "5000000000", .int64(5_000_000_000)),
    ("float", "0.5", .float32(0.5)), ("bool", "true", .bool(true)), ("str", "a:b=c", .string("a:b=c")),
  ]) func overridesHaveLlamaQuantizesTypes(type: String, text: String, value: MetadataValue) {
    #expect(MetadataOverrideValue(type: type, text: text)?.value == value)
  }

  @Test(arguments: [("int", "1.5"), ("int", "x"), ("float", "nan"), ("bool", "yes"), ("list", "1"), ("int", "")])
  func overridesThatAreNoneAreRefused(type: String, text: String) {
    #expect(MetadataOverrideValue(type: type, text: text) == nil)
  }

  /// Two entries of the older form of llama-imatrix: i32 count; i32 length, name, i32 calls, i32 values, F32 values.
  private func legacy(_ entries: [(String, Int32, [Float])], trailer: Bool) -> [UInt8] {
    func bytes(_ value: Int32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
    var out = bytes(Int32(entries.count))
    for (name, calls, values) in entries {
      out += bytes(Int32(name.utf8.count)) + Array(name.utf8) + bytes(calls) + bytes(Int32(values.count))
      for value in values { out += bytes(Int32(bitPattern: value.bitPattern)) }
    }
    if trailer { out += bytes(12) + bytes(4) + Array("wiki".utf8) }
    return out
  }

  @Test func readsTheOlderImportanceMatrix() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write(
      "i.dat", legacy([("blk.0.attn_q.weight", 4, [4, 8]), ("output.weight", 0, [1, 0])], trailer: true))
    let matrix = try ImportanceMatrix(reading: path)
    #expect(matrix.entries["blk.0.attn_q.weight"] == [1, 2])
    #expect(matrix.entries["output.weight"] == [1, 0])
    #expect(matrix.chunkCount == 12)
    #expect(matrix.datasets == ["wiki"])
  }

  private static let spoilt: [([(String, Int32, [Float])], InputError.Code)] = [
    ([("a", 1, [Float.nan])], .nonFinite), ([("a", 1, [-1])], .nonFinite),
    ([("a", 1, [1]), ("a", 1, [1])], .duplicate),
    ([], .magic),
  ]

  @Test(arguments: spoilt.indices) func refusesAnImportanceMatrixThatWouldSpoilBlocks(_ index: Int) throws {
    let (entries, code) = ValueTests.spoilt[index]
    let folder = try TemporaryFolder()
    let path = try folder.write("i.dat", legacy(entries, trailer: false))
    #expect { try ImportanceMatrix(reading: path) } throws: { ($0 as? InputError)?.code == code }
  }

  @Test func everyCutOfAnImportanceMatrixIsAnError() throws {
    let folder = try TemporaryFolder()
    let whole = legacy([("blk.0.attn_q.weight", 4, [4, 8])], trailer: false)
    for length in 0..<whole.count {
      let path = try folder.write("i.dat", Array(whole[..<length]))
      #expect(throws: InputError.self) { try ImportanceMatrix(reading: path) }
    }
  }
}

import Bytes
import Checkpoints
import Tensors
import TestSupport
import Testing

@Suite struct SafetensorsTests {
  /// In the order of `fixtures/safetensors/make_golden.py`, which says what bytes they hold.
  private static let golden: [(name: String, dtype: DType, shape: [Int])] = [
    ("f64", .f64, [2, 3]), ("f32", .f32, [5, 4]), ("f16", .f16, [3, 2]), ("bf16", .bf16, [2, 2, 2]),
    ("f8_e4m3", .f8E4M3, [7]), ("f8_e5m2", .f8E5M2, [1, 5]),
    ("i64", .i64, [3]), ("i32", .i32, [3]), ("i16", .i16, [3]), ("i8", .i8, [3]),
    ("u64", .u64, [3]), ("u32", .u32, [3]), ("u16", .u16, [3]), ("u8", .u8, [3]),
    ("scalar", .f32, []), ("empty", .f32, [0, 4]), ("\u{E9}", .u8, [1]), ("e\u{301}", .u8, [2]),
    ("quote\" \\ \n \u{1F600}", .u8, [1]), ("../../etc/passwd", .u8, [1]), ("bool", .bool, [4]),
  ]

  @Test func readsWhatTheReferenceLibraryWrote() throws {
    let file = try SafetensorsFile(Fixtures.path("safetensors/golden.safetensors"))
    #expect(file.tensors.count == SafetensorsTests.golden.count)
    #expect(file.metadata.map(\.key) == ["format", "note"])
    #expect(file.metadata.map(\.value) == ["pt", "café \"quoted\""])
    for (k, expected) in SafetensorsTests.golden.enumerated() {
      let tensor = try #require(file.tensors.first { ExactString($0.name) == ExactString(expected.name) })
      #expect(tensor.dtype == expected.dtype)
      #expect(tensor.shape.dimensions == expected.shape)
      let bytes = (0..<tensor.byteCount).map { UInt8((31 * k + 7 * $0) % 256) }
      let bools = (0..<tensor.byteCount).map { UInt8($0 % 2) }
      #expect(try tensor.read(rows: 0..<tensor.rows) == (expected.dtype == .bool ? bools : bytes))
    }
  }

  @Test func namesAreSortedByTheirBytes() throws {
    let names = try SafetensorsFile(Fixtures.path("safetensors/golden.safetensors")).tensors.map(\.name)
    #expect(names.map(ExactString.init) == names.map(ExactString.init).sorted())
    #expect(names.count == Set(names.map(ExactString.init)).count)
  }

  @Test func readsAnyRangeOfRows() throws {
    let file = try SafetensorsFile(Fixtures.path("safetensors/golden.safetensors"))
    let tensor = try #require(file.tensors.first { $0.name == "f32" })
    let all = try tensor.read(rows: 0..<5)
    for begin in 0...5 {
      for end in begin...5 {
        #expect(try tensor.read(rows: begin..<end) == Array(all[begin * 16..<end * 16]))
      }
    }
  }

  private func open(header: String, data: [UInt8] = []) throws -> SafetensorsFile {
    let folder = try TemporaryFolder()
    return try SafetensorsFile(folder.write("model.safetensors", SafetensorsBytes.file(header: header, data: data)))
  }

  @Test(arguments: [" {}", "\t{}", "\n{}", "{}   "]) func case8AllowsSpaceAroundTheHeader(_ header: String) throws {
    #expect(try open(header: header).tensors.isEmpty)
  }

  @Test func case16KeepsNamesOfDifferentBytesApart() throws {
    let header =
      "{\"\u{E9}\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
      + "\"e\u{301}\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}"
    let tensors = try open(header: header, data: [7, 9]).tensors
    #expect(tensors.map { Array($0.name.utf8) } == [Array("e\u{301}".utf8), Array("\u{E9}".utf8)])
    #expect(try tensors.map { try $0.read(rows: 0..<1) } == [[9], [7]])
  }

  @Test func case33ReadsElementsAtOddOffsets() throws {
    let header =
      #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}}"#
    let tensors = try open(header: header, data: [9, 1, 2, 3, 4]).tensors
    #expect(try tensors[1].read(rows: 0..<1) == [1, 2, 3, 4])
  }

  @Test func case35AllowsEmptyTensorsAtTheOffsetOfOthers() throws {
    let header =
      #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[3,0],"data_offsets":[0,0]},"#
      + #""c":{"dtype":"F32","shape":[0],"data_offsets":[1,1]}}"#
    let tensors = try open(header: header, data: [9]).tensors
    #expect(tensors.map(\.byteCount) == [1, 0, 0])
  }

  @Test func case38TakesAPathForAName() throws {
    let header = #"{"../../etc/passwd":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#
    #expect(try open(header: header, data: [1]).tensors[0].name == "../../etc/passwd")
  }

  @Test func case40KeepsAPatchedTypeForTheOneWhoKnowsWeights() throws {
    let header = #"{"w":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}}"#
    #expect(try !open(header: header, data: [0, 0, 128, 63]).tensors[0].dtype.isFloatingPoint)
  }

  @Test func aHeaderOfTheLargestLengthIsReadOnlyWhenItIsThere() throws {
    let folder = try TemporaryFolder()
    let path = try folder.writeSparse(
      "model.safetensors", head: SafetensorsBytes.length(100_000_000) + Array("{}".utf8), size: 1 << 20)
    #expect { try SafetensorsFile(path) } throws: { ($0 as? InputError)?.code == .truncated }
  }

  /// Any change of a byte gives an error or a file whose every tensor can be read; nothing else.
  @Test func mutatedFilesAreRefusedOrReadWhole() throws {
    let folder = try TemporaryFolder()
    let original = try RandomAccessFile(Fixtures.path("safetensors/golden.safetensors")).readAll(limit: 1 << 20)
    let headerEnd = 8 + Int(original[0]) + Int(original[1]) << 8
    let alphabet = Array("0123456789{}[]\",:\\-.eu \0\u{7F}".utf8)
    var accepted = 0
    for seed in 0..<2_000 as Range<UInt64> {
      var generator = SeededGenerator(seed: seed)
      var bytes = original
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        switch Int.random(in: 0..<8, using: &generator) {
        case 0: bytes.removeLast(Int.random(in: 0..<min(64, bytes.count), using: &generator))
        case 1: bytes.append(UInt8.random(in: 0...255, using: &generator))
        case 2 where bytes.count > 8: bytes[Int.random(in: 0..<8, using: &generator)] ^= 1
        case 3 where bytes.count > headerEnd: bytes.remove(at: Int.random(in: 8..<headerEnd, using: &generator))
        default:
          let position = Int.random(in: 8..<headerEnd, using: &generator)
          if position < bytes.count { bytes[position] = alphabet.randomElement(using: &generator)! }
        }
      }
      let path = try folder.write("model.safetensors", bytes)
      do {
        let file = try SafetensorsFile(path)
        var total = 0
        for tensor in file.tensors { total += try tensor.read(rows: 0..<tensor.rows).count }
        #expect(total <= bytes.count, "seed \(seed)")
        accepted += 1
      } catch let error as InputError {
        #expect(error.file == path, "seed \(seed): \(error)")
      }
    }
    #expect(accepted > 0 && accepted < 2_000)
  }
}

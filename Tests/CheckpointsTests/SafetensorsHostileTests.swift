import Bytes
import Checkpoints
import Tensors
import TestSupport
import Testing

/// A file that must be refused, by its number in the list of bad inputs, and the law that it breaks.
struct Hostile: CustomTestStringConvertible, Sendable {
  let number: Int
  let what: String
  let code: InputError.Code
  let bytes: [UInt8]

  var testDescription: String { "case \(number): \(what)" }

  init(_ number: Int, _ what: String, _ code: InputError.Code, _ bytes: [UInt8]) {
    (self.number, self.what, self.code, self.bytes) = (number, what, code, bytes)
  }

  init(_ number: Int, _ what: String, _ code: InputError.Code, header: String, data: Int = 0) {
    self.init(
      number, what, code,
      SafetensorsBytes.file(header: header, data: [UInt8](repeating: 0, count: data)))
  }

  /// One tensor with these fields.
  init(_ number: Int, _ what: String, _ code: InputError.Code, tensor fields: String, data: Int) {
    self.init(number, what, code, header: "{\"w\":{\(fields)}}", data: data)
  }
}

private func tensor(_ dtype: String, _ shape: String, _ begin: Int, _ end: Int) -> String {
  "{\"dtype\":\"\(dtype)\",\"shape\":\(shape),\"data_offsets\":[\(begin),\(end)]}"
}

@Suite struct SafetensorsHostileTests {
  private static let max64 = "18446744073709551615"
  private static let plain = tensor("U8", "[1]", 0, 1)

  static let headers: [Hostile] =
    (0..<8).map { Hostile(1, "\($0) bytes", .truncated, [UInt8](repeating: 1, count: $0)) } + [
      Hostile(2, "header of 2^64-1 bytes", .limit, SafetensorsBytes.length(.max) + Array("{}".utf8)),
      Hostile(3, "header of 100,000,001 bytes", .limit, SafetensorsBytes.length(100_000_001) + Array("{}".utf8)),
      Hostile(4, "header past the end", .truncated, SafetensorsBytes.length(3) + Array("{}".utf8)),
      Hostile(5, "no header", .json, SafetensorsBytes.length(0)),
      Hostile(6, "byte FF in the header", .utf8, SafetensorsBytes.file(header: Array("{\"a".utf8) + [0xFF])),
      Hostile(7, "byte-order mark", .json, header: "\u{FEFF}{}"),
      Hostile(7, "UTF-16", .json, SafetensorsBytes.file(header: [0x7B, 0, 0x7D, 0])),
      Hostile(9, "NUL after the JSON", .json, header: "{}\0"),
      Hostile(9, "letters after the JSON", .json, header: "{}xx"),
      Hostile(10, "comma at the end", .json, header: "{\"w\":\(plain),}", data: 1),
      Hostile(11, "two equal names", .duplicate, header: "{\"w\":\(plain),\"w\":\(plain)}", data: 1),
      Hostile(
        12, "two types over the same bytes", .duplicate,
        header: "{\"w\":\(tensor("U8", "[4]", 0, 4)),\"w\":\(tensor("F32", "[1]", 0, 4))}", data: 4),
      Hostile(13, "equal names, one escaped", .duplicate, header: "{\"w\":\(plain),\"\\u0077\":\(plain)}", data: 1),
      Hostile(14, "equal keys in the metadata", .duplicate, header: #"{"__metadata__":{"a":"1","a":"2"}}"#),
      Hostile(
        15, "two dtypes", .duplicate, tensor: #""dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]"#, data: 1),
      Hostile(
        17, "100,000 nested lists", .limit,
        header: "{\"w\":{\"x\":" + String(repeating: "[", count: 100_000) + String(repeating: "]", count: 100_000)
          + "}}"),
      Hostile(36, "metadata null", .type, header: #"{"__metadata__":null}"#),
      Hostile(36, "metadata of numbers", .type, header: #"{"__metadata__":{"a":1}}"#),
      Hostile(37, "empty name", .name, header: "{\"\":\(plain)}", data: 1),
      Hostile(37, "NUL in a name", .name, header: "{\"a\\u0000b\":\(plain)}", data: 1),
      Hostile(
        37, "name of 65,537 bytes", .name, header: "{\"\(String(repeating: "a", count: 65_537))\":\(plain)}", data: 1),
      Hostile(39, "half a surrogate pair", .utf8, header: "{\"\\ud800\":\(plain)}", data: 1),
      Hostile(0, "header is a list", .json, header: "[]"),
      Hostile(0, "tensor is a number", .type, header: "{\"w\":1}"),
      Hostile(0, "no dtype", .missing, tensor: #""shape":[1],"data_offsets":[0,1]"#, data: 1),
      Hostile(0, "no shape", .missing, tensor: #""dtype":"U8","data_offsets":[0,1]"#, data: 1),
      Hostile(0, "no offsets", .missing, tensor: #""dtype":"U8","shape":[1]"#, data: 1),
    ]

  static let tensors: [Hostile] = [
    Hostile(18, "offset 16.0", .type, tensor: #""dtype":"U8","shape":[16],"data_offsets":[0,16.0]"#, data: 16),
    Hostile(18, "offset 1.6e1", .type, tensor: #""dtype":"U8","shape":[16],"data_offsets":[0,1.6e1]"#, data: 16),
    Hostile(18, "offset -0", .type, tensor: #""dtype":"U8","shape":[16],"data_offsets":[-0,16]"#, data: 16),
    Hostile(19, "offset -16", .type, tensor: #""dtype":"U8","shape":[16],"data_offsets":[-16,0]"#, data: 16),
    Hostile(19, "dimension -1", .type, tensor: #""dtype":"U8","shape":[-1],"data_offsets":[0,1]"#, data: 1),
    Hostile(20, "one offset", .type, tensor: #""dtype":"U8","shape":[16],"data_offsets":[16]"#, data: 16),
    Hostile(20, "three offsets", .type, tensor: #""dtype":"U8","shape":[16],"data_offsets":[0,8,16]"#, data: 16),
    Hostile(21, "begin after end", .bounds, header: "{\"w\":\(tensor("U8", "[1]", 1, 0))}", data: 1),
    Hostile(22, "end past the file", .bounds, header: "{\"w\":\(tensor("U8", "[2]", 0, 2))}", data: 1),
    Hostile(
      23, "100,000 tensors over one range", .overlap,
      header: "{"
        + (0..<100_000).map { "\"\($0)\":\(tensor("U8", "[160000]", 0, 160_000))" }.joined(separator: ",") + "}",
      data: 160_000),
    Hostile(24, "first tensor begins at 4", .gap, header: "{\"w\":\(tensor("U8", "[4]", 4, 8))}", data: 8),
    Hostile(24, "hole between tensors", .gap, header: "{\"a\":\(plain),\"b\":\(tensor("U8", "[1]", 2, 3))}", data: 3),
    Hostile(
      25, "zip after the data", .gap,
      SafetensorsBytes.file(
        header: "{\"w\":\(plain)}", data: [0, 0x50, 0x4B, 0x05, 0x06] + [UInt8](repeating: 0, count: 18))),
    Hostile(
      26, "elements wrap", .overflow, header: "{\"w\":\(tensor("F32", "[2,18446744073709551614]", 0, 16))}", data: 16),
    Hostile(
      27, "elements wrap to what fits", .overflow,
      header: "{\"w\":\(tensor("F32", "[4194305,4194305,211106198978564]", 0, 16))}", data: 16),
    Hostile(28, "0 before a wrap", .overflow, header: "{\"w\":\(tensor("F32", "[0,\(max64),\(max64)]", 0, 0))}"),
    Hostile(28, "0 within a wrap", .overflow, header: "{\"w\":\(tensor("F32", "[\(max64),0,\(max64)]", 0, 0))}"),
    Hostile(28, "0 after a wrap", .overflow, header: "{\"w\":\(tensor("F32", "[\(max64),\(max64),0]", 0, 0))}"),
    Hostile(
      28, "a dimension of 65 bits", .overflow, header: "{\"w\":\(tensor("F32", "[36893488147419103232]", 0, 0))}"),
    Hostile(
      29, "ends near 2^64", .bounds,
      header: "{"
        + (0..<8 as Range<UInt64>).map { k in
          let (begin, end) = (k << 61, k == 7 ? UInt64.max : (k + 1) << 61)
          return "\"\(k)\":{\"dtype\":\"U8\",\"shape\":[\(end - begin)],\"data_offsets\":[\(begin),\(end)]}"
        }.joined(separator: ",") + "}", data: 16),
    Hostile(30, "fewer bytes than the shape", .shape, header: "{\"w\":\(tensor("F32", "[2]", 0, 4))}", data: 4),
    Hostile(30, "more bytes than the shape", .shape, header: "{\"w\":\(tensor("F32", "[2]", 0, 12))}", data: 12),
    Hostile(31, "dtype Q4_0", .type, header: "{\"w\":\(tensor("Q4_0", "[32]", 0, 18))}", data: 18),
    Hostile(31, "dtype in small letters", .type, header: "{\"w\":\(tensor("f32", "[1]", 0, 4))}", data: 4),
    Hostile(31, "dtype is a number", .type, tensor: #""dtype":32,"shape":[1],"data_offsets":[0,4]"#, data: 4),
    Hostile(32, "three nibbles", .shape, header: "{\"w\":\(tensor("F4", "[3]", 0, 2))}", data: 2),
    Hostile(
      32, "four nibbles: allowed, but not read", .unsupported, header: "{\"w\":\(tensor("F4", "[4]", 0, 2))}", data: 2),
    Hostile(
      34, "100,000 dimensions", .limit,
      header:
        "{\"w\":\(tensor("U8", "[" + [String](repeating: "1", count: 100_000).joined(separator: ",") + "]", 0, 1))}",
      data: 1),
    Hostile(
      48, "Git LFS pointer", .magic, Array("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n".utf8)),
    Hostile(49, "web page", .magic, Array("\n<!DOCTYPE html><html><body>Access denied</body></html>".utf8)),
    Hostile(156, "PyTorch zip", .magic, [0x50, 0x4B, 3, 4] + [UInt8](repeating: 0, count: 60)),
    Hostile(156, "pickle", .magic, [0x80, 2, 0x8A, 0x0A] + [UInt8](repeating: 0x6C, count: 60)),
    Hostile(156, "GGUF", .magic, Array("GGUF".utf8) + [3, 0, 0, 0] + [UInt8](repeating: 0, count: 60)),
  ]

  @Test(arguments: headers + tensors) func isRefusedByName(_ hostile: Hostile) throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("model.safetensors", hostile.bytes)
    #expect { try SafetensorsFile(path) } throws: { error in
      let error = error as? InputError
      return error?.code == hostile.code && error?.file == path
    }
    #expect { try Checkpoint(opening: folder.path) } throws: { ($0 as? InputError)?.code == hostile.code }
    #expect { try Checkpoint(opening: path) } throws: { ($0 as? InputError)?.code == hostile.code }
  }

  @Test func everyErrorOfATensorNamesItAndAByteOfTheHeader() throws {
    let folder = try TemporaryFolder()
    for hostile in SafetensorsHostileTests.tensors where (18...34).contains(hostile.number) && hostile.number != 25 {
      let path = try folder.write("model.safetensors", hostile.bytes)
      #expect("\(hostile.testDescription)") {
        try SafetensorsFile(path)
      } throws: { error in
        guard let error = error as? InputError, let offset = error.offset else { return false }
        return error.subject != nil && offset >= 8 && offset < hostile.bytes.count
      }
    }
  }
}

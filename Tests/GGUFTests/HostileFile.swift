import Bytes
import TestSupport
import Testing

/// A file that breaks one law of the format, or seems to.
struct HostileFile: Sendable, CustomTestStringConvertible {
  /// The case's number in the project's collection of bad inputs.
  let number: Int
  let what: String
  /// `nil` where the file is odd but right.
  let code: InputError.Code?
  let bytes: [UInt8]
  /// The length of the file when that is more than `bytes`; the rest takes no room on the disk.
  let sparseSize: Int?

  init(
    _ number: Int, _ what: String, _ code: InputError.Code?, _ file: FileBuilder, sparseSize: Int? = nil
  ) {
    self.init(number, what, code, bytes: file.bytes, sparseSize: sparseSize)
  }

  init(_ number: Int, _ what: String, _ code: InputError.Code?, bytes: [UInt8], sparseSize: Int? = nil) {
    (self.number, self.what, self.code, self.bytes, self.sparseSize) = (number, what, code, bytes, sparseSize)
  }

  var testDescription: String { "\(number): \(what) → \(code?.rawValue ?? "accepted")" }

  func write(_ folder: TemporaryFolder, _ name: String = "hostile.gguf") throws -> String {
    if let sparseSize { return try folder.writeSparse(name, head: bytes, size: sparseSize) }
    return try folder.write(name, bytes)
  }

  static let all = starts + keys + tensors + data

  // MARK: Magic, version, counts

  static let starts: [HostileFile] =
    (0..<24).map { HostileFile(104, "the first \($0) bytes", .truncated, bytes: Array(FileBuilder().bytes.prefix($0))) }
    + [
      HostileFile(104, "another magic", .magic, FileBuilder(magic: "GGUG")),
      HostileFile(104, "the magic backwards", .magic, FileBuilder(magic: "FUGG")),
      HostileFile(104, "a Git LFS pointer", .magic, bytes: Array("version https://git-lfs.github.com/spec/v1\n".utf8)),
      HostileFile(104, "a web page", .magic, bytes: Array("<!DOCTYPE html><html></html>".utf8)),
      HostileFile(104, "nothing but a header", nil, FileBuilder()),
    ]
    + [0, 1, 4, 0x0300_0000, 0x0200_0000, .max].map {
      HostileFile(105, "version \($0)", .version, FileBuilder(version: $0))
    }
    + [.max, 1 << 60, 1 << 40, 100_000, 1].map {
      HostileFile(106, "\($0) keys in 24 bytes", .limit, FileBuilder(keys: $0))
    }
    + [
      HostileFile(106, "2^40 keys in 2^36 bytes", .limit, FileBuilder(keys: 1 << 40), sparseSize: 1 << 36)
    ]
    + [.max, 1 << 63, 1 << 40, 1].map {
      HostileFile(107, "\($0) tensors in 24 bytes", .limit, FileBuilder(tensors: $0))
    }
    + [
      HostileFile(107, "2^40 tensors in 2^36 bytes", .limit, FileBuilder(tensors: 1 << 40), sparseSize: 1 << 36)
    ]

  // MARK: Keys and values

  private static func key(_ name: String, _ type: UInt32 = 7, _ value: [UInt8] = [1]) -> FileBuilder {
    FileBuilder(key: name) {
      $0.put(type)
      $0.bytes += value
    }
  }

  private static func array(_ element: UInt32, _ count: UInt64, _ data: [UInt8] = []) -> FileBuilder {
    FileBuilder(key: "k") {
      $0.put(9 as UInt32)
      $0.put(element)
      $0.put(count)
      $0.bytes += data
    }
  }

  private static func file(_ keys: UInt64 = 1, _ build: (inout FileBuilder) -> Void) -> FileBuilder {
    var file = FileBuilder(keys: keys)
    build(&file)
    return file
  }

  private static func alignment(_ type: UInt32, _ build: (inout FileBuilder) -> Void) -> FileBuilder {
    FileBuilder(key: "general.alignment") {
      $0.put(type)
      build(&$0)
    }
  }

  static let keys: [HostileFile] =
    [UInt64.max, 1 << 63, 1 << 30, 100].map { length in
      HostileFile(
        108, "a key of \(length) bytes", .truncated,
        file {
          $0.put(length)
          $0.zeros(64)
        })
    }
    + [
      HostileFile(109, "an empty key", .name, key("")),
      HostileFile(109, "a key of 65,535 bytes", nil, key(String(repeating: "k", count: 65_535))),
      HostileFile(109, "a key of 65,536 bytes", .name, key(String(repeating: "k", count: 65_536))),
      HostileFile(110, "a key beyond ASCII", .name, key("clé")),
      HostileFile(110, "a key with NUL", .name, key("a\u{0}b")),
      HostileFile(
        110, "a key that is not UTF-8", .name,
        file {
          $0.string([0x61, 0xFF])
          $0.bytes += [7, 0, 0, 0, 1]
        }),
      HostileFile(
        111, "a key twice", .duplicate,
        file(2) {
          for _ in 0..<2 {
            $0.string("k")
            $0.bytes += [7, 0, 0, 0, 1]
          }
        }),
    ]
    + [13, 255, .max].map { HostileFile(112, "value type \($0)", .type, key("k", $0)) }
    + [13, .max].map { HostileFile(112, "element type \($0)", .type, array($0, 1, [1, 2, 3, 4])) }
    + (0...12).filter { $0 != 9 }.map {
      HostileFile(113, "2^64-1 elements of type \($0)", .limit, array($0, .max))
    }
    + [
      HostileFile(113, "2^64-1 strings in 2^36 bytes", .limit, array(8, .max), sparseSize: 1 << 36),
      HostileFile(113, "2^30 empty strings in 2^36 bytes", .limit, array(8, 1 << 30), sparseSize: 1 << 36),
      HostileFile(113, "2^30 strings without bytes", .truncated, array(8, 1 << 30)),
      HostileFile(
        138, "a token of 2^31 + 1 bytes", .limit, array(8, 1, [1, 0, 0, 0x80, 0, 0, 0, 0]), sparseSize: 1 << 36),
      HostileFile(114, "2^61 uint64", .limit, array(10, 1 << 61)),
      HostileFile(114, "2^61 float64", .limit, array(12, 1 << 61)),
      HostileFile(115, "2^30 uint8 without bytes", .truncated, array(0, 1 << 30)),
      HostileFile(115, "2^30 bools without bytes", .truncated, array(7, 1 << 30)),
      HostileFile(115, "2^30 float64 without bytes", .truncated, array(12, 1 << 30, [1, 2, 3])),
      HostileFile(
        116, "100,000 arrays in one another", .limit,
        file {
          $0.string("k")
          $0.put(9 as UInt32)
          for _ in 0..<100_000 {
            $0.put(9 as UInt32)
            $0.put(1 as UInt64)
          }
        }),
      HostileFile(
        116, "an element longer than the file", .truncated,
        array(8, 2, [1, 0, 0, 0, 0, 0, 0, 0, 97] + [UInt8](repeating: 0xFF, count: 8))),
      HostileFile(116, "an element one byte too long", .truncated, array(8, 1, [2, 0, 0, 0, 0, 0, 0, 0, 97])),
    ]
    + [0, 1, 3, 4, 48, 33].map { value in
      HostileFile(117, "alignment \(value)", .alignment, alignment(4) { $0.put(UInt32(value)) })
    }
    + [
      HostileFile(117, "alignment 8", nil, alignment(4) { $0.put(8 as UInt32) }),
      HostileFile(118, "alignment 2^31", .bounds, alignment(4) { $0.put(UInt32(1) << 31) }),
      HostileFile(118, "alignment 2^21", .bounds, alignment(4) { $0.put(UInt32(1) << 21) }),
      HostileFile(118, "alignment as uint64", .type, alignment(10) { $0.put(32 as UInt64) }),
      HostileFile(118, "alignment as int32", .type, alignment(5) { $0.put(32 as Int32) }),
      HostileFile(118, "alignment as a string", .type, alignment(8) { $0.string("32") }),
      HostileFile(119, "a bool of 2", .type, key("k", 7, [2])),
      HostileFile(119, "a bool of 255 in an array", .type, array(7, 3, [0, 1, 255])),
      HostileFile(120, "a string that is not UTF-8", .utf8, key("k", 8, [2, 0, 0, 0, 0, 0, 0, 0, 0xC3, 0x28])),
      HostileFile(120, "a string that ends in a sequence", .utf8, key("k", 8, [1, 0, 0, 0, 0, 0, 0, 0, 0xC3])),
      HostileFile(120, "a surrogate", .utf8, key("k", 8, [3, 0, 0, 0, 0, 0, 0, 0, 0xED, 0xA0, 0x80])),
      HostileFile(120, "an overlong NUL", .utf8, key("k", 8, [2, 0, 0, 0, 0, 0, 0, 0, 0xC0, 0x80])),
      HostileFile(
        120, "an element that is not UTF-8", .utf8,
        array(8, 2, [1, 0, 0, 0, 0, 0, 0, 0, 97] + [1, 0, 0, 0, 0, 0, 0, 0, 0xFF])),
    ]
    // Every value type cut one byte short.
    + [1, 1, 2, 2, 4, 4, 4, 1, 8, 0, 8, 8, 8].enumerated().filter { $0.offset != 9 }.map { type, size in
      HostileFile(
        112, "type \(type) cut short", .truncated, key("k", UInt32(type), [UInt8](repeating: 0, count: size - 1)))
    }
}

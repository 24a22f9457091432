import Bytes

extension HostileFile {
  // MARK: What the header says of a tensor

  private static func named(_ name: [UInt8], count: UInt64 = 1) -> FileBuilder {
    var file = FileBuilder(tensors: count)
    for index in 0..<count {
      file.string(name)
      file.put(1 as UInt32)
      file.put(8 as UInt64)
      file.put(0 as UInt32)
      file.put(index * 32)
    }
    file.align()
    file.zeros(32 * Int(count))
    return file
  }

  private static func rank(_ rank: UInt32, data: Int = 32) -> FileBuilder {
    var file = FileBuilder(tensors: 1)
    file.string("w")
    file.put(rank)
    for _ in 0..<min(rank, 8) { file.put(1 as UInt64) }
    file.put(0 as UInt32)
    file.put(0 as UInt64)
    file.align()
    file.zeros(data)
    return file
  }

  private static func many(_ tensors: [[UInt64]], type: UInt32 = 0, offsets: [UInt64]) -> FileBuilder {
    var file = FileBuilder(tensors: UInt64(tensors.count))
    for (index, dimensions) in tensors.enumerated() {
      file.tensor("w\(index)", dimensions, type: type, offset: offsets[index])
    }
    file.align()
    return file
  }

  static let tensors: [HostileFile] =
    [
      HostileFile(121, "a name of 63 bytes", nil, named([UInt8](repeating: 97, count: 63))),
      HostileFile(121, "a name of 64 bytes", .name, named([UInt8](repeating: 97, count: 64))),
      HostileFile(121, "a name of 70,000 bytes", .name, named([UInt8](repeating: 97, count: 70_000))),
      HostileFile(121, "an empty name", .name, named([])),
      HostileFile(121, "a name with NUL", .name, named([97, 0, 98])),
      HostileFile(121, "a name with a line feed", .name, named([97, 10])),
      HostileFile(121, "a name that is not UTF-8", .utf8, named([97, 0xFF])),
      HostileFile(121, "a name twice", .duplicate, named([97], count: 2)),
      HostileFile(122, "5 dimensions", .shape, rank(5)),
      HostileFile(122, "2^32-1 dimensions", .shape, rank(.max)),
      HostileFile(122, "a scalar", nil, rank(0)),
      HostileFile(122, "4 dimensions", nil, rank(4)),
      HostileFile(123, "a dimension of -1", .overflow, .tensor([.max], data: 32)),
      HostileFile(123, "a dimension of -2^63", .overflow, .tensor([1 << 63], data: 32)),
      HostileFile(123, "a product of 2^128", .overflow, .tensor([1 << 62, 1 << 62, 16], data: 32)),
      HostileFile(123, "a product that wraps to 0", .overflow, .tensor([1 << 32, 1 << 32], data: 32)),
      HostileFile(123, "a product that wraps to 8", .overflow, .tensor([(1 << 61) + 1, 8], data: 32)),
      HostileFile(
        124, "overflow behind an empty dimension", .overflow, .tensor([0, 1 << 62, 1 << 62, 1 << 62], data: 32)),
      HostileFile(
        124, "overflow before an empty dimension", .overflow, .tensor([1 << 62, 1 << 62, 1 << 62, 0], data: 32)),
      HostileFile(125, "F32 whose padding wraps", .overflow, .tensor([(1 << 62) - 1], data: 32)),
      HostileFile(126, "Q8_0 whose row wraps", .overflow, .tensor([542_551_296_285_575_072], type: 8, data: 32)),
      HostileFile(
        127, "padded sizes that add up to 2^64", .overflow,
        many([[1 << 60], [1 << 60], [1 << 60], [1 << 60]], offsets: [0, 1 << 62, 1 << 63, 3 << 62])),
      HostileFile(
        128, "a sum that leaves no room for the overhead", .overflow,
        many(
          [[UInt64]](repeating: [(1 << 60) - 64], count: 4),
          offsets: [0, (1 << 62) - 256, (1 << 63) - 512, (3 << 62) - 768])),
      HostileFile(130, "Q4_0 rows of 33", .shape, .tensor([33], type: 2, data: 64)),
      HostileFile(130, "Q4_K rows of 32, 256 in all", .shape, .tensor([32, 8], type: 12, data: 160)),
      HostileFile(130, "a Q4_0 scalar", .shape, .tensor([], type: 2, data: 32)),
    ]
    + [4, 5, 31, 32, 33, 36, 37, 38, 43, 9999, .max].map {
      HostileFile(131, "type \($0)", .type, .tensor([256], type: $0, data: 1024))
    }

  // MARK: Where the data lies

  private static func behind(_ file: FileBuilder, _ bytes: Int) -> FileBuilder {
    var file = file
    file.bytes += [UInt8](repeating: 0x58, count: bytes)
    return file
  }

  private static func pair(_ offsets: [UInt64], data: Int) -> FileBuilder {
    var file = many([[32], [32]], offsets: offsets)
    file.zeros(data)
    return file
  }

  static let data: [HostileFile] = [
    HostileFile(132, "an offset of 4", .alignment, .tensor([8], offset: 4, data: 64)),
    HostileFile(132, "an offset of 16", .alignment, .tensor([8], offset: 16, data: 64)),
    HostileFile(132, "two tensors on the same bytes", .overlap, pair([0, 0], data: 256)),
    HostileFile(132, "two tensors that share some bytes", .overlap, pair([0, 96], data: 256)),
    HostileFile(132, "the second tensor first", nil, pair([128, 0], data: 256)),
    HostileFile(133, "an offset of 2^40", .bounds, .tensor([8], offset: 1 << 40, data: 64)),
    HostileFile(133, "an offset of 2^64-32", .overflow, .tensor([8], offset: 0 &- 32, data: 64)),
    HostileFile(133, "an offset of 2^63-32", .overflow, .tensor([8], offset: (1 << 63) - 32, data: 64)),
    HostileFile(134, "1 byte missing", .truncated, .tensor([8], data: 31)),
    HostileFile(134, "half missing", .truncated, .tensor([8], data: 16)),
    HostileFile(134, "all missing", .truncated, .tensor([8], data: 0)),
    HostileFile(134, "the second of two cut short", .truncated, pair([0, 128], data: 255)),
    HostileFile(134, "the second of two missing", .truncated, pair([0, 128], data: 128)),
    HostileFile(134, "both missing", .truncated, many([[8], [8]], offsets: [0, 32])),
    HostileFile(134, "the last padding missing", nil, .tensor([1], data: 4)),
    HostileFile(135, "2 MiB of F16 over 128 bytes", .bounds, .tensor([1 << 20], type: 1, data: 128)),
    HostileFile(136, "200 bytes behind the last tensor", .gap, behind(.tensor([8], data: 32), 200)),
    HostileFile(136, "1 byte behind the last padding", .gap, behind(.tensor([8], data: 32), 1)),
    HostileFile(136, "200 bytes behind a header", .gap, behind(FileBuilder(), 200)),
    HostileFile(136, "32 bytes between two tensors", .gap, pair([0, 160], data: 288)),
    HostileFile(136, "32 bytes before the first tensor", .gap, pair([32, 160], data: 288)),
  ]
}

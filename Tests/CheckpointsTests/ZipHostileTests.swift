import Bytes
import Checkpoints
import TestSupport
import Testing

extension TorchHostileTests {
  private static func zip(
    _ number: Int, _ what: String, _ code: InputError.Code, _ change: (inout ZipBytes) -> Void
  ) -> Hostile {
    var zip = P.zip()
    change(&zip)
    return Hostile(number, what, code, zip.bytes)
  }

  private static let zip64Sizes: [UInt8] = [1, 0, 16, 0, 16, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0]

  static let archives: [Hostile] = [
    Hostile(91, "one bit flipped", .checksum, flipped()),
    zip(92, "stored bytes said to be deflated", .zip) { $0.entries[2].method = 8 },
    zip(92, "deflated bytes said to be stored", .checksum) {
      let data = $0.entries[2].data
      $0.entries[2] = .init("archive/data/0", Array(ZipBytes.deflated(data).prefix(16))) { $0.crc = ZipBytes.crc(data) }
    },
    zip(92, "method 12", .unsupported) { $0.entries[2].method = 12 },
    zip(92, "decodes to more than said", .zip) {
      let data = $0.entries[2].data
      $0.entries[2] = .init("archive/data/0", ZipBytes.deflated(data + [1])) { $0.decoded = data }
    },
    zip(92, "decodes to less than said", .zip) {
      let data = $0.entries[2].data
      $0.entries[2] = .init("archive/data/0", ZipBytes.deflated(Array(data.dropLast()))) { $0.decoded = data }
    },
    zip(92, "bytes after the deflate stream", .zip) {
      let data = $0.entries[2].data
      $0.entries[2] = .init("archive/data/0", ZipBytes.deflated(data) + [0]) { $0.decoded = data }
    },
    zip(92, "deflated, with another CRC-32", .checksum) {
      let data = $0.entries[2].data
      $0.entries[2] = .init("archive/data/0", ZipBytes.deflated(data)) {
        $0.decoded = data
        $0.crc = 1
      }
    },
    zip(93, "256 MiB from 260 kB", .limit) {
      $0.entries[2].method = 8
      $0.entries[2].size = 256 << 20
    },
    zip(94, "two entries over the same bytes", .overlap) { $0.entries[2].offset = 0 },
    zip(94, "an entry within another", .overlap) { $0.entries[1].offset = 40 },
    zip(95, "two data.pkl", .duplicate) { $0.entries.append($0.entries[0]) },
    zip(95, "two data/0", .duplicate) { $0.entries.append($0.entries[2]) },
    zip(96, "another name in the local header", .zip) { $0.entries[2].localName = "archive/data/1" },
    zip(96, "a longer name in the local header", .zip) { $0.entries[2].localName = "archive/data/00" },
    zip(97, "size lies", .zip) { $0.entries[2].size = 12 },
    zip(97, "both sizes lie", .zip) {
      $0.entries[2].size = 12
      $0.entries[2].compressedSize = 12
    },
    zip(97, "both sizes lie, without descriptor", .zip) {
      $0.entries[2].hasDescriptor = false
      $0.entries[2].size = 12
      $0.entries[2].compressedSize = 12
    },
    zip(97, "size past the directory", .zip) {
      $0.entries[2].size = 1 << 30
      $0.entries[2].compressedSize = 1 << 30
    },
    zip(97, "offset lies", .zip) { $0.entries[2].offset = 1 << 30 },
    zip(97, "directory offset lies", .zip) { $0.directoryOffset = 0 },
    zip(97, "directory size lies", .zip) { $0.directorySize = 1 << 30 },
    zip(97, "number of entries lies", .zip) { $0.count = 2 },
    zip(98, "encrypted", .unsupported) { $0.entries[2].flags = 0x0809 },
    zip(98, "unknown flags", .unsupported) { $0.entries[2].flags = 0x2808 },
    zip(100, "zip64 field missing", .zip) { $0.entries[2].size = .max },
    zip(100, "zip64 field twice", .zip) {
      $0.entries[2].size = .max
      $0.entries[2].compressedSize = .max
      $0.entries[2].extra = zip64Sizes + zip64Sizes
    },
    zip(100, "zip64 field too short", .zip) {
      $0.entries[2].size = .max
      $0.entries[2].extra = [1, 0, 4, 0, 16, 0, 0, 0]
    },
    zip(100, "zip64 field of another size", .zip) {
      $0.entries[2].size = .max
      $0.entries[2].compressedSize = .max
      $0.entries[2].extra = zip64Sizes.map { $0 == 16 ? 12 : $0 }
    },
    zip(100, "extra field cut off", .zip) { $0.entries[2].extra = [9, 0, 9, 0, 1] },
    zip(101, "a comment", .zip) { $0.comment = Array("hello".utf8) },
    zip(101, "a comment that holds an end record", .zip) { $0.comment = Array($0.bytes.suffix(22)) },
    zip(101, "two disks", .zip) { $0.disk = 1 },
    zip(101, "65,535 entries without zip64", .zip) { $0.count = .max },
    zip(102, "100 bytes after the end", .zip) { $0.suffix = [UInt8](repeating: 0, count: 100) },
    zip(102, "bytes between two entries", .zip) { $0.gap = [1, 2, 3] },
    zip(103, "two folders", .zip) { $0.entries[1].name = "other/byteorder" },
    zip(103, "absolute name", .zip) { $0.entries[1].name = "/etc/x" },
    zip(103, "name that leads out", .zip) { $0.entries[1].name = "archive/../../x" },
    zip(103, "name with a backslash", .zip) { $0.entries[1].name = "archive\\x" },
    zip(103, "name with a NUL", .zip) { $0.entries[1].name = "archive/x\0" },
    zip(103, "name in no folder", .zip) { $0.entries[1].name = "byteorder" },
    zip(103, "TorchScript", .unsupported) { $0.entries[1].name = "archive/constants.pkl" },
    zip(103, "no data.pkl", .unsupported) { $0.entries[0].name = "archive/weights.npy" },
    Hostile(103, "an empty archive", .zip, ZipBytes([]).bytes),
    Hostile(
      103, "legacy tar", .unsupported,
      [UInt8](repeating: 0x61, count: 257) + Array("ustar\0".utf8) + [UInt8](repeating: 0, count: 600)),
    Hostile(0, "cut off", .zip, Array(P.zip().bytes.dropLast(30))),
    Hostile(0, "four bytes", .truncated, [0x50, 0x4B, 3, 4]),
  ]

  private static func flipped() -> [UInt8] {
    var bytes = P.zip().bytes
    let pattern = [UInt8](0..<16)
    for place in 0..<bytes.count - 16 where Array(bytes[place..<place + 16]) == pattern { bytes[place + 9] ^= 4 }
    return bytes
  }

  @Test func case102AProgramBeforeTheArchiveIsNoArchive() throws {
    let folder = try TemporaryFolder()
    var zip = P.zip()
    zip.prefix = Array("MZ".utf8) + [UInt8](repeating: 0, count: 98)
    #expect { try Checkpoint(opening: folder.write("a.pt", zip.bytes)) } throws: { ($0 as? InputError)?.code == .magic }
  }

  @Test func case100AcceptsEntriesBeyond4GiB() throws {
    // local header, 4 GiB + 16 bytes of nothing, directory with zip64 sizes, both end records
    let folder = try TemporaryFolder()
    let pickle = P.file(P.tensor(P.storage(P.int(1 << 30 + 4)), size: P.ints([4]), strides: P.ints([1])))
    let size = UInt64(4) << 30 + 16
    let head = ZipBytes([.init("archive/data.pkl", pickle)])
    let first = Array(head.bytes.prefix(30 + 16 + pickle.count + 16))
    let name = Array("archive/data/0".utf8)
    let sizes = le(size) + le(size)
    var local = le(0x0403_4B50 as UInt32) + le(0 as UInt16) + le(0x0808 as UInt16) + le(0 as UInt16) + le(0 as UInt32)
    local += [UInt8](repeating: 0, count: 12) + le(UInt16(name.count)) + le(20 as UInt16) + name
    local += le(1 as UInt16) + le(16 as UInt16) + sizes
    let dataOffset = UInt64(first.count + local.count)
    var tail = le(0x0807_4B50 as UInt32) + le(0 as UInt32) + sizes
    let directoryOffset = dataOffset + size + UInt64(tail.count)
    var directory = Array(head.bytes[first.count...].prefix(46 + 16))
    directory += le(0x0201_4B50 as UInt32) + le(0 as UInt32) + le(0x0808 as UInt16) + le(0 as UInt16) + le(0 as UInt64)
    directory += le(UInt32.max) + le(UInt32.max) + le(UInt16(name.count)) + le(20 as UInt16)
    directory += [UInt8](repeating: 0, count: 10) + le(UInt32(first.count)) + name
    directory += le(1 as UInt16) + le(16 as UInt16) + sizes
    let end64 = directoryOffset + UInt64(directory.count)
    tail +=
      directory + le(0x0606_4B50 as UInt32) + le(44 as UInt64) + le(0 as UInt32) + le(0 as UInt64) + le(2 as UInt64)
    tail += le(2 as UInt64) + le(UInt64(directory.count)) + le(directoryOffset)
    tail += le(0x0706_4B50 as UInt32) + le(0 as UInt32) + le(end64) + le(1 as UInt32)
    tail +=
      le(0x0605_4B50 as UInt32) + le(0 as UInt32) + le(2 as UInt16) + le(2 as UInt16) + le(UInt32(directory.count))
    tail += le(UInt32.max) + le(0 as UInt16)
    let path = try folder.writeSparse("a.pt", head: first + local, size: Int(dataOffset + size), tail: tail)
    let checkpoint = try Checkpoint(opening: path)
    #expect(checkpoint.tensors.map(\.name) == ["w"] && checkpoint.totalBytes == 16)
  }

  // MARK: Legacy

  private static let opening: [UInt8] =
    [0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E]
    + P.proto + [0x4D, 0xE9, 3] + P.stop

  private static func system(_ little: UInt8 = 0x88) -> [UInt8] {
    P.proto + P.emptyDict + P.text("little_endian") + [little] + P.setItem + P.stop
  }

  private static func keys(_ keys: [String]) -> [UInt8] {
    P.proto + [0x5D] + P.mark + keys.flatMap { P.text($0) } + [0x65] + P.stop
  }

  private static let data = [UInt8](0..<16)
  private static let object = P.file(P.tensor4)
  private static let start = opening + system() + object + keys(["0"])

  static let legacy: [Hostile] = [
    Hostile(103, "fewer elements than said", .bounds, start + le(3 as UInt64) + data),
    Hostile(103, "more elements than said", .bounds, start + le(5 as UInt64) + data),
    Hostile(103, "2^63 elements", .bounds, start + le(1 << 63 as UInt64) + data),
    Hostile(103, "cut off in the data", .bounds, start + le(4 as UInt64) + data.dropLast()),
    Hostile(103, "cut off before the data", .truncated, start + [4, 0, 0]),
    Hostile(103, "bytes after the data", .gap, start + le(4 as UInt64) + data + [0]),
    Hostile(
      103, "a storage that no tensor has", .missing,
      opening + system() + object + keys(["0", "1"]) + le(4 as UInt64) + data + le(0 as UInt64)),
    Hostile(103, "a tensor without its storage", .missing, opening + system() + object + keys([])),
    Hostile(
      103, "a storage twice", .duplicate,
      opening + system() + object + keys(["0", "0"]) + le(4 as UInt64) + data + le(4 as UInt64) + data),
    Hostile(90, "legacy, big-endian", .endian, opening + system(0x89) + object + keys(["0"]) + le(4 as UInt64) + data),
    Hostile(50, "legacy, posix.system", .global, opening + system() + P.file(P.name("posix", "system")) + keys(["0"])),
    Hostile(0, "another magic number", .magic, [0x80, 2, 0x8A, 10] + [UInt8](repeating: 1, count: 40)),
    Hostile(0, "a bare pickle", .magic, P.file(P.tensor4) + [UInt8](repeating: 0, count: 16)),
  ]

  @Test func theLegacyFormIsReadByTheSameRules() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("a.pt", TorchHostileTests.start + le(4 as UInt64) + TorchHostileTests.data)
    #expect(try Checkpoint(opening: path).tensors[0].read(rows: 0..<1) == TorchHostileTests.data)
  }
}

import Bytes

/// The central directory of a zip archive.
enum ZipDirectory {
  /// A million entries.
  private static let maximumBytes = 64 << 20
  /// Deflate levels, data descriptor, UTF-8 names.
  private static let knownFlags: UInt16 = 0x0006 | 0x0008 | 0x0800

  static func entries(in file: RandomAccessFile, _ end: ZipEnd) throws -> [ZipArchive.Entry] {
    guard end.directorySize <= maximumBytes else {
      throw InputError(
        .limit, "a directory of \(end.directorySize) bytes, at most \(maximumBytes) are read", file: file.path,
        offset: UInt64(end.directoryOffset))
    }
    var cursor = ByteCursor(
      try file.read(at: end.directoryOffset, count: end.directorySize), file: file.path, base: end.directoryOffset)
    var entries: [ZipArchive.Entry] = []
    while cursor.remaining > 0 { entries.append(try entry(&cursor, file.path)) }
    guard entries.count == end.entryCount else {
      throw InputError(
        .zip, "\(end.entryCount) entries announced, the directory has \(entries.count)", file: file.path,
        offset: UInt64(end.directoryOffset))
    }
    return entries
  }

  private static func entry(_ cursor: inout ByteCursor, _ file: String) throws -> ZipArchive.Entry {
    let start = cursor.fileOffset
    guard try cursor.uint32("directory entry") == 0x0201_4B50 else {
      throw InputError(.zip, "a directory entry expected", file: file, offset: start)
    }
    _ = try cursor.uint32("versions")
    let flags = try cursor.uint16("flags")
    let method = try cursor.uint16("method")
    _ = try cursor.uint32("time")
    let crc = try cursor.uint32("CRC-32")
    let compressed = UInt64(try cursor.uint32("compressed size"))
    let size = UInt64(try cursor.uint32("size"))
    let nameBytes = UInt64(try cursor.uint16("name length"))
    let extraBytes = UInt64(try cursor.uint16("extra length"))
    let commentBytes = UInt64(try cursor.uint16("comment length"))
    let disk = try cursor.uint16("disk")
    _ = try cursor.take(6, "attributes")
    let offset = UInt64(try cursor.uint32("local header offset"))
    let name = try cursor.string(nameBytes, "entry name")
    let extra = Array(try cursor.take(extraBytes, "extra field"))
    _ = try cursor.take(commentBytes, "comment")

    func refuse(_ code: InputError.Code, _ problem: String) -> InputError {
      InputError(code, problem, file: file, subject: name, offset: start)
    }
    try checkName(name, refuse)
    guard flags & 0x0001 == 0 else { throw refuse(.unsupported, "the entry is encrypted") }
    guard flags & ~knownFlags == 0 else {
      throw refuse(.unsupported, "flags 0x\(String(flags, radix: 16)) are not read")
    }
    guard method == 0 || method == 8 else {
      throw refuse(.unsupported, "compression method \(method) is not read")
    }
    guard disk == 0 else { throw refuse(.zip, "the entry is said to lie on disk \(disk)") }
    let values = try ZipExtra.widened([size, compressed, offset], by: extra, refuse)
    let (size64, compressed64, offset64) = (values[0], values[1], values[2])
    guard method == 8 || size64 == compressed64 else {
      throw refuse(.zip, "a stored entry of \(size64) bytes takes \(compressed64)")
    }
    // Weights hardly compress; what shrinks much more than they can is there to fill memory.
    guard size64 <= 16 << 20 || size64 / 20 <= compressed64 else {
      throw refuse(.limit, "\(compressed64) bytes decode to \(size64), more than weights ever do")
    }
    return ZipArchive.Entry(
      name: ExactString(name), isDeflated: method == 8, crc: crc, compressedSize: compressed64, size: size64,
      headerOffset: offset64, hasDescriptor: flags & 0x0008 != 0, flags: flags)
  }

  private static func checkName(
    _ name: String, _ refuse: (InputError.Code, String) -> InputError
  ) throws(InputError) {
    var parts = name.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    if parts.count > 1, parts.last?.isEmpty == true { parts.removeLast() }  // a folder
    let isPlain = parts.allSatisfy { !$0.isEmpty && !$0.elementsEqual(".".utf8) && !$0.elementsEqual("..".utf8) }
    guard isPlain, !name.utf8.contains(0), !name.utf8.contains(UInt8(ascii: "\\")) else {
      throw refuse(.zip, "an entry's name may not lead out of the archive")
    }
  }
}

/// The header before an entry's data, and the descriptor after it.
enum ZipLocalHeader {
  private static let fixedBytes = 30

  /// Where the data begin. The header must repeat what the directory says, or leave it to the data descriptor.
  static func dataOffset(of entry: ZipArchive.Entry, in file: RandomAccessFile, limit: Int) throws -> Int {
    func refuse(_ code: InputError.Code, _ problem: String) -> InputError {
      InputError(code, problem, offset: UInt64(entry.headerOffset))
    }
    let count = fixedBytes + entry.name.utf8.count
    guard count <= limit - entry.headerOffset else { throw refuse(.zip, "its local header reaches into the directory") }
    var cursor = ByteCursor(
      try file.read(at: entry.headerOffset, count: count), file: file.path, base: entry.headerOffset)
    guard try cursor.uint32("local header") == 0x0403_4B50 else {
      throw refuse(.zip, "no local header where it should be")
    }
    _ = try cursor.uint16("version")
    let flags = try cursor.uint16("flags")
    let method = try cursor.uint16("method")
    _ = try cursor.uint32("time")
    let crc = try cursor.uint32("CRC-32")
    let compressed = UInt64(try cursor.uint32("compressed size"))
    let size = UInt64(try cursor.uint32("size"))
    let nameBytes = try cursor.uint16("name length")
    let extraBytes = Int(try cursor.uint16("extra length"))
    guard Int(nameBytes) == entry.name.utf8.count,
      try cursor.take(UInt64(nameBytes), "entry name").elementsEqual(entry.name.utf8)
    else { throw refuse(.zip, "the local header has another name") }
    guard flags == entry.flags, (method == 8) == entry.isDeflated, method == 0 || method == 8 else {
      throw refuse(.zip, "local header and directory differ in flags or method")
    }
    let dataOffset = entry.headerOffset + count + extraBytes
    guard dataOffset <= limit else { throw refuse(.zip, "its local header reaches into the directory") }
    let isDeferred = entry.hasDescriptor && crc == 0
    guard crc == entry.crc || isDeferred else { throw refuse(.zip, "local header and directory differ in the CRC-32") }
    if entry.hasDescriptor, compressed == 0, size == 0 { return dataOffset }
    let extra = try file.read(at: dataOffset - extraBytes, count: extraBytes)
    let values = try ZipExtra.widened([size, compressed], by: extra, refuse)
    guard values[0] == entry.size, values[1] == entry.compressedSize else {
      throw refuse(.zip, "local header and directory differ in the sizes")
    }
    return dataOffset
  }

  /// Where the data descriptor at `position` ends, which must be at `next`: CRC-32 and both sizes, of 32 or 64 bits each,
  /// with or without a signature before them.
  static func descriptorEnd(
    of entry: ZipArchive.Entry, at position: Int, next: Int, in file: RandomAccessFile
  ) throws -> Int {
    let count = next - position
    let fits = [12, 16, 20, 24].contains(count)
    var cursor = ByteCursor(fits ? try file.read(at: position, count: count) : [])
    var isRight = fits
    if fits {
      if count == 16 || count == 24 { isRight = try cursor.uint32("signature") == 0x0807_4B50 }
      isRight = try cursor.uint32("CRC-32") == entry.crc && isRight
      for size in [entry.compressedSize, entry.size] {
        let found = count < 20 ? UInt64(try cursor.uint32("size")) : try cursor.uint64("size")
        isRight = found == UInt64(size) && isRight
      }
    }
    guard isRight else {
      throw InputError(.zip, "a data descriptor that repeats the directory expected", offset: UInt64(position))
    }
    return next
  }
}

/// The extra fields of an entry: pairs of id and length, each with its data.
enum ZipExtra {
  /// `values` with those that are saturated (2^32 - 1) read from the zip64 field, in their order.
  static func widened(
    _ values: [UInt64], by extra: [UInt8], _ refuse: (InputError.Code, String) -> InputError
  ) throws(InputError) -> [Int] {
    var field: ByteCursor?
    var cursor = ByteCursor(extra)
    while cursor.remaining > 0 {
      guard cursor.remaining >= 4 else { throw refuse(.zip, "the extra field is cut off") }
      let (id, count) = (try cursor.uint16("id"), try cursor.uint16("length"))
      guard Int(count) <= cursor.remaining else { throw refuse(.zip, "the extra field is cut off") }
      let data = try cursor.take(UInt64(count), "data")
      guard id == 1 else { continue }
      guard field == nil else { throw refuse(.zip, "the zip64 field stands twice") }
      field = ByteCursor(Array(data))
    }
    var out: [Int] = []
    for value in values {
      if value == ZipEnd.saturated32 {
        guard field != nil, field!.remaining >= 8 else { throw refuse(.zip, "the zip64 field is missing or too short") }
        out.append(try SizeArithmetic.int(field!.uint64("size")))
      } else {
        out.append(Int(value))
      }
    }
    guard field?.remaining ?? 0 == 0 else { throw refuse(.zip, "the zip64 field holds more than the header asks for") }
    return out
  }
}

import Bytes

/// The end records of a zip archive: where the central directory lies and how many entries it has.
struct ZipEnd {
  let directoryOffset: Int
  let directorySize: Int
  let entryCount: Int

  static let saturated32 = UInt64(UInt32.max)
  private static let recordBytes = 22
  private static let locatorBytes = 20
  private static let record64Bytes = 56

  init(_ file: RandomAccessFile) throws {
    let recordOffset = file.size - ZipEnd.recordBytes
    guard recordOffset >= 0 else {
      throw InputError(
        .truncated, "\(file.size) bytes are no zip archive", file: file.path, remedy: "download the file again")
    }
    var cursor = ByteCursor(
      try file.read(at: recordOffset, count: ZipEnd.recordBytes), file: file.path, base: recordOffset)
    guard try cursor.uint32("end record") == 0x0605_4B50 else {
      throw InputError(
        .zip, "an archive ends with its end record, this one does not: it was cut off, or something follows it",
        file: file.path, offset: UInt64(recordOffset), remedy: "download the file again")
    }
    let disks = (try cursor.uint16("disk"), try cursor.uint16("disk of the directory"))
    let counts = (UInt64(try cursor.uint16("entries")), UInt64(try cursor.uint16("entries")))
    let size = UInt64(try cursor.uint32("directory size"))
    let offset = UInt64(try cursor.uint32("directory offset"))
    let commentBytes = try cursor.uint16("comment length")
    guard disks == (0, 0), counts.0 == counts.1, commentBytes == 0 else {
      throw InputError(
        .zip, "an end record of one disk and without comment expected", file: file.path, offset: UInt64(recordOffset))
    }
    var values = (count: counts.0, size: size, offset: offset)
    var directoryEnd = recordOffset
    if let record = try ZipEnd.record64(file, before: recordOffset) {
      let narrow = values
      values = record.values
      directoryEnd = record.position
      guard narrow.count == values.count || narrow.count == 0xFFFF,
        narrow.size == values.size || narrow.size == ZipEnd.saturated32,
        narrow.offset == values.offset || narrow.offset == ZipEnd.saturated32
      else { throw InputError(.zip, "the two end records differ", file: file.path, offset: UInt64(recordOffset)) }
    }
    entryCount = try SizeArithmetic.int(values.count)
    directorySize = try SizeArithmetic.int(values.size)
    directoryOffset = try SizeArithmetic.int(values.offset)
    guard try SizeArithmetic.sum(directoryOffset, directorySize) == directoryEnd else {
      throw InputError(
        .zip, "the directory does not end where the end record begins", file: file.path, offset: UInt64(recordOffset))
    }
  }

  /// The zip64 record, which ends where its locator begins; `nil` when there is no locator.
  private static func record64(
    _ file: RandomAccessFile, before recordOffset: Int
  ) throws -> (values: (count: UInt64, size: UInt64, offset: UInt64), position: Int)? {
    let locatorOffset = recordOffset - locatorBytes
    guard locatorOffset >= record64Bytes else { return nil }
    var locator = ByteCursor(
      try file.read(at: locatorOffset, count: locatorBytes), file: file.path, base: locatorOffset)
    guard try locator.uint32("zip64 locator") == 0x0706_4B50 else { return nil }
    let disk = try locator.uint32("disk")
    let position = try locator.uint64("zip64 end record")
    let disks = try locator.uint32("disks")
    guard disk == 0, disks == 1, position == UInt64(locatorOffset - record64Bytes) else {
      throw InputError(
        .zip, "a zip64 locator that leads to the record before it expected", file: file.path,
        offset: UInt64(locatorOffset))
    }
    var record = ByteCursor(
      try file.read(at: Int(position), count: record64Bytes), file: file.path, base: Int(position))
    let signature = try record.uint32("zip64 end record")
    let rest = try record.uint64("its size")
    _ = try record.uint32("versions")
    let recordDisks = (try record.uint32("disk"), try record.uint32("disk of the directory"))
    let counts = (try record.uint64("entries"), try record.uint64("entries"))
    let size = try record.uint64("directory size")
    let offset = try record.uint64("directory offset")
    guard signature == 0x0606_4B50, rest == UInt64(record64Bytes - 12), recordDisks == (0, 0), counts.0 == counts.1
    else {
      throw InputError(.zip, "a zip64 end record of one disk expected", file: file.path, offset: position)
    }
    return ((counts.0, size, offset), Int(position))
  }
}

import Bytes

/// A zip archive whose directory has been proved whole: every byte of the file belongs to exactly one entry or to the
/// directory, and what an entry says of itself is what the directory says of it.
///
/// 1. for each entry: local header, name, extra field (`torch.save` pads here to align the data), data, and a data
///    descriptor when flag bit 3 is set;
/// 2. the central directory, which alone knows the sizes of a genuine file of `torch.save`;
/// 3. the zip64 end record and its locator, where needed;
/// 4. the end record, the last 22 bytes: no comment, nothing after it.
///
/// Source: PKWARE APPNOTE 6.3.10. Far stricter than that text, because two readers of one loose archive see two models.
struct ZipArchive {
  struct Entry: Sendable {
    let name: ExactString
    let isDeflated: Bool
    let crc: UInt32
    let compressedSize: Int
    let size: Int
    let headerOffset: Int
    var dataOffset = 0
    /// Whether a data descriptor follows the data.
    let hasDescriptor: Bool
    let flags: UInt16

    func check(_ found: CRC32, file: String) throws(InputError) {
      guard found.value == crc else {
        throw InputError(
          .checksum, "CRC-32 \(hex(crc)) expected, the data have \(hex(found.value))", file: file,
          subject: name.string, offset: UInt64(dataOffset), remedy: "download the file again")
      }
    }

    private func hex(_ value: UInt32) -> String { "0x" + String(value, radix: 16) }
  }

  let file: RandomAccessFile
  /// In the order in which they lie in the file; folders left out.
  let entries: [Entry]
  private let places: [ExactString: Int]

  init(_ file: RandomAccessFile) throws {
    self.file = file
    let end = try ZipEnd(file)
    var found = try ZipDirectory.entries(in: file, end)
    found.sort { $0.headerOffset < $1.headerOffset }
    try ZipArchive.checkLocals(&found, file, directoryOffset: end.directoryOffset)
    entries = found.filter { !($0.name.utf8.last == UInt8(ascii: "/")) }
    var places: [ExactString: Int] = [:]
    for (place, entry) in entries.enumerated() {
      guard places.updateValue(place, forKey: entry.name) == nil else {
        throw InputError(
          .duplicate, "the archive has two entries of this name", file: file.path, subject: entry.name.string,
          offset: UInt64(entry.headerOffset))
      }
    }
    self.places = places
  }

  subscript(name: String) -> Entry? { places[ExactString(name)].map { entries[$0] } }

  func bytes(of entry: Entry) -> any StorageBytes {
    entry.isDeflated ? DeflatedEntry(entry, in: file) : StoredEntry(entry, in: file)
  }

  /// All of a small entry, its checksum checked.
  func readAll(_ entry: Entry, limit: Int) throws -> [UInt8] {
    guard entry.size <= limit else {
      throw InputError(
        .limit, "\(entry.size) bytes, where at most \(limit) are expected", file: file.path,
        subject: entry.name.string, offset: UInt64(entry.dataOffset))
    }
    let source = bytes(of: entry)
    return try unsafe [UInt8](unsafeUninitializedCapacity: entry.size) { buffer, initialized in
      try unsafe source.read(
        at: 0, into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<entry.size]))
      initialized = entry.size
    }
  }

  /// Finds the data of every entry and proves that the entries follow one another from byte 0 to the directory.
  private static func checkLocals(_ entries: inout [Entry], _ file: RandomAccessFile, directoryOffset: Int) throws {
    for (entry, next) in zip(entries, entries.dropFirst())
    where next.headerOffset - entry.headerOffset < entry.compressedSize {
      throw InputError(
        .overlap, "the entry overlaps the one before it", file: file.path, subject: next.name.string,
        offset: UInt64(next.headerOffset))
    }
    var position = 0
    for index in entries.indices {
      let entry = entries[index]
      guard entry.headerOffset == position else {
        throw InputError(
          .zip, "its local header expected right after the entry before it", file: file.path,
          subject: entry.name.string, offset: UInt64(position))
      }
      do {
        entries[index].dataOffset = try ZipLocalHeader.dataOffset(of: entry, in: file, limit: directoryOffset)
        position = try SizeArithmetic.sum(entries[index].dataOffset, entry.compressedSize)
        guard position <= directoryOffset else {
          throw InputError(.zip, "its data reach into the directory", offset: UInt64(entry.headerOffset))
        }
        if entry.hasDescriptor {
          let next = index + 1 < entries.count ? entries[index + 1].headerOffset : directoryOffset
          position = try ZipLocalHeader.descriptorEnd(of: entry, at: position, next: next, in: file)
        }
      } catch let error as InputError {
        throw error.adding(file: file.path, subject: entry.name.string)
      }
    }
    guard position == directoryOffset else {
      throw InputError(
        .zip, "\(directoryOffset - position) bytes before the directory belong to no entry", file: file.path,
        offset: UInt64(position))
    }
  }
}

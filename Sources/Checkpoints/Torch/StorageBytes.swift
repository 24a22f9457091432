import Bytes
import Synchronization

/// The bytes of a storage: of an entry in an archive, or of a range in a file.
protocol StorageBytes: Sendable {
  var size: Int { get }
  /// Fills `buffer` with the bytes from `offset` on, which are in range.
  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws
}

/// A range of a file for which nobody wrote down a checksum.
struct FileBytes: StorageBytes {
  let file: RandomAccessFile
  let offset: Int
  let size: Int

  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    try unsafe file.read(at: self.offset + offset, into: buffer)
  }
}

/// An entry that is stored as it is. Its CRC-32 is checked as a whole before the first byte is handed out.
final class StoredEntry: StorageBytes {
  let size: Int
  private let archive: RandomAccessFile
  private let entry: ZipArchive.Entry
  private let isChecked = Mutex(false)

  init(_ entry: ZipArchive.Entry, in archive: RandomAccessFile) {
    self.entry = entry
    self.archive = archive
    size = entry.size
  }

  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    try isChecked.withLock { isChecked in
      if !isChecked { try check() }
      isChecked = true
    }
    try unsafe archive.read(at: entry.dataOffset + offset, into: buffer)
  }

  private func check() throws {
    var crc = CRC32()
    var chunk = [UInt8](repeating: 0, count: min(size, 1 << 20))
    var offset = 0
    while offset < size {
      let count = min(chunk.count, size - offset)
      try unsafe chunk.withUnsafeMutableBytes { chunk in
        let piece = unsafe UnsafeMutableRawBufferPointer(rebasing: chunk[..<count])
        try unsafe archive.read(at: entry.dataOffset + offset, into: piece)
        unsafe crc.update(UnsafeRawBufferPointer(piece))
      }
      offset += count
    }
    try entry.check(crc, file: archive.path)
  }
}

/// A deflated entry. The first read decodes all of it once, which checks size and CRC-32 and keeps the decoder's state at
/// regular points; later reads go on from the nearest of them, so the entry never stands in memory.
final class DeflatedEntry: StorageBytes {
  /// A decoder and where it stands.
  private struct Place {
    var inflater: Inflater
    /// Next byte of the compressed data.
    var input: Int
    /// Next byte of the decoded data.
    var output: Int
  }

  private struct State {
    var places: [Place] = []
    /// Where the last read stopped: rows are mostly read in order.
    var last: Place?
  }

  let size: Int
  private let archive: RandomAccessFile
  private let entry: ZipArchive.Entry
  private let state = Mutex(State())

  /// Output between two kept states of some 40 KiB each; at most 64 of them.
  private var spacing: Int { max(16 << 20, size / 64) }

  init(_ entry: ZipArchive.Entry, in archive: RandomAccessFile) {
    self.entry = entry
    self.archive = archive
    size = entry.size
  }

  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    try state.withLock { state in
      if state.places.isEmpty { state.places = try check() }
      guard let kept = state.places.last(where: { $0.output <= offset }) else { return }
      var place: Place
      if let last = state.last, last.output <= offset, last.output >= kept.output {
        place = last
      } else {
        place = Place(inflater: try kept.inflater.copy(), input: kept.input, output: kept.output)
      }
      state.last = nil
      try skip(&place, to: offset)
      guard try unsafe decode(&place, into: buffer) == buffer.count else { throw damaged("it ends early") }
      state.last = place
    }
  }

  private func check() throws -> [Place] {
    var places = [Place(inflater: try Inflater(), input: 0, output: 0)]
    var place = Place(inflater: try Inflater(), input: 0, output: 0)
    var crc = CRC32()
    var chunk = [UInt8](repeating: 0, count: 256 << 10)
    while true {
      let count = try unsafe chunk.withUnsafeMutableBytes { chunk in
        let count = try unsafe decode(&place, into: chunk)
        unsafe crc.update(UnsafeRawBufferPointer(rebasing: chunk[..<count]))
        return count
      }
      guard place.output <= size else { throw damaged("it decodes to more than \(size) bytes") }
      if count < chunk.count { break }
      if place.output >= places.count * spacing {
        places.append(Place(inflater: try place.inflater.copy(), input: place.input, output: place.output))
      }
    }
    guard place.output == size, place.input == entry.compressedSize else {
      throw damaged("it decodes to \(place.output) bytes, \(size) expected")
    }
    try entry.check(crc, file: archive.path)
    return places
  }

  private func skip(_ place: inout Place, to offset: Int) throws {
    var scratch = [UInt8](repeating: 0, count: min(64 << 10, offset - place.output))
    while place.output < offset {
      let count = min(scratch.count, offset - place.output)
      let got = try unsafe scratch.withUnsafeMutableBytes {
        try unsafe decode(&place, into: UnsafeMutableRawBufferPointer(rebasing: $0[..<count]))
      }
      guard got == count else { throw damaged("it ends early") }
    }
  }

  /// Fills `buffer`, or as much of it as there is before the stream ends.
  private func decode(_ place: inout Place, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    var done = 0
    while done < buffer.count {
      let input = try archive.read(
        at: entry.dataOffset + place.input, count: min(64 << 10, entry.compressedSize - place.input))
      let step: (consumed: Int, produced: Int, ended: Bool)
      do {
        step = try unsafe input.withUnsafeBytes { input in
          try unsafe place.inflater.decode(input, into: UnsafeMutableRawBufferPointer(rebasing: buffer[done...]))
        }
      } catch let error as InputError { throw error.adding(file: archive.path, subject: entry.name.string) }
      place.input += step.consumed
      place.output += step.produced
      done += step.produced
      if step.ended { break }
      guard step.consumed > 0 || step.produced > 0 else { throw damaged("it ends early") }
    }
    return done
  }

  private func damaged(_ how: String) -> InputError {
    InputError(
      .zip, "damaged deflate data: \(how)", file: archive.path, subject: entry.name.string,
      offset: UInt64(entry.dataOffset), remedy: "download the file again")
  }
}

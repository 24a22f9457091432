import Bytes
import Tensors

/// Parts of a matrix side by side, all of the same number of columns: every row is put together from all of them.
struct JoinedColumns: TensorSource {
  let parts: [Tensor]

  /// What is read of a part at once.
  private static let scratchBytes = 256 << 10

  func read(rows: Range<Int>, rowBytes: Int, into bytes: UnsafeMutableRawBufferPointer) throws {
    let width = parts[0].rowBytes
    let step = max(1, JoinedColumns.scratchBytes / max(1, width))
    for (place, part) in parts.enumerated() {
      for first in stride(from: rows.lowerBound, to: rows.upperBound, by: step) {
        let piece = first..<min(rows.upperBound, first + step)
        let read = try part.read(rows: piece)
        unsafe read.withUnsafeBytes { read in
          for index in 0..<piece.count {
            let target = (first + index - rows.lowerBound) * rowBytes + place * width
            unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[target..<target + width])
              .copyMemory(from: UnsafeRawBufferPointer(rebasing: read[index * width..<(index + 1) * width]))
          }
        }
      }
    }
  }

  func readAhead(rows: Range<Int>, rowBytes: Int) { for part in parts { part.readAhead() } }
}

/// A tensor of which every shard has a copy. The copies are compared whenever it is read: nothing is read at opening, and
/// nothing is used that was not compared.
struct ReplicatedRows: TensorSource {
  let name: String
  let parts: [Tensor]
  /// Paths of the shards.
  let files: [String]

  func read(rows: Range<Int>, rowBytes: Int, into bytes: UnsafeMutableRawBufferPointer) throws {
    try unsafe parts[0].read(rows: rows, into: bytes)
    for (part, file) in zip(parts, files).dropFirst() {
      let copy = try part.read(rows: rows)
      guard let place = copy.indices.first(where: { unsafe copy[$0] != bytes[$0] }) else { continue }
      let element = rows.lowerBound * part.columns + place / part.dtype.blockBytes
      throw InputError(
        .duplicate, "element \(element) is not what it is in \(files[0]), where all shards have the same", file: file,
        subject: name, remedy: "download the shards of one model again")
    }
  }

  func readAhead(rows: Range<Int>, rowBytes: Int) { for part in parts { part.readAhead() } }
}

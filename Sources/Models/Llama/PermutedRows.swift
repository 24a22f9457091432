import Tensors

/// Rows of a Q or K projection in GGUF's order, seen over Hugging Face's.
///
/// Both rotate pairs of a head's rows. Hugging Face keeps the two halves of a head apart, row `i` paired with row
/// `headSize/2 + i`; GGUF (and Meta) keep pairs together. Row `2i + j` of a head here is row `j · headSize/2 + i` there.
///
/// A range of rows is read as two runs a head, each read once.
struct PermutedRows: TensorSource {
  private let source: any TensorSource
  private let headSize: Int

  init(_ source: any TensorSource, headSize: Int) {
    precondition(headSize > 0 && headSize % 2 == 0, "heads are rotated in pairs")
    self.source = source
    self.headSize = headSize
  }

  func read(rows: Range<Int>, rowBytes: Int, into bytes: UnsafeMutableRawBufferPointer) throws {
    let half = headSize / 2
    var row = rows.lowerBound
    while row < rows.upperBound {
      let head = row / headSize
      let end = min(rows.upperBound, (head + 1) * headSize)
      // The pairs that this part of the head touches; its first and last may be wanted by half only.
      let (firstPair, endPair) = (row % headSize / 2, (end - head * headSize + 1) / 2)
      let run = (endPair - firstPair) * rowBytes
      for side in 0..<2 {
        let start = head * headSize + side * half + firstPair
        let part = try unsafe [UInt8](unsafeUninitializedCapacity: run) { buffer, count in
          let target = unsafe UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<run])
          try unsafe source.read(rows: start..<start + (endPair - firstPair), rowBytes: rowBytes, into: target)
          count = run
        }
        unsafe part.withUnsafeBytes { part in
          for pair in firstPair..<endPair {
            let target = head * headSize + 2 * pair + side
            guard target >= row, target < end else { continue }
            let from = (pair - firstPair) * rowBytes
            unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[((target - rows.lowerBound) * rowBytes)...])
              .copyMemory(from: UnsafeRawBufferPointer(rebasing: part[from..<from + rowBytes]))
          }
        }
      }
      row = end
    }
  }

  func readAhead(rows: Range<Int>, rowBytes: Int) { source.readAhead(rows: rows, rowBytes: rowBytes) }
}

/// A vector (one row) whose elements are in the order of `PermutedRows`: a bias permuted as its weight is.
struct PermutedVector: TensorSource {
  private let source: any TensorSource
  private let headSize: Int
  private let count: Int

  init(_ source: any TensorSource, headSize: Int, count: Int) {
    (self.source, self.headSize, self.count) = (source, headSize, count)
  }

  func read(rows: Range<Int>, rowBytes: Int, into bytes: UnsafeMutableRawBufferPointer) throws {
    let stored = try unsafe [UInt8](unsafeUninitializedCapacity: rowBytes) { buffer, initialized in
      let target = unsafe UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<rowBytes])
      try unsafe source.read(rows: rows, rowBytes: rowBytes, into: target)
      initialized = rowBytes
    }
    let elements = PermutedRows(MemoryRows(stored), headSize: headSize)
    try unsafe elements.read(rows: 0..<count, rowBytes: rowBytes / count, into: bytes)
  }
}

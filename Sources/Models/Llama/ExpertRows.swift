import Tensors

/// Of a stack of matrices of `rowsEach` rows, the same `count` rows of each from `first` on, seen as a stack of smaller
/// matrices: the gates, or the ups, of experts that keep both in one matrix.
struct PartOfEachMatrix: TensorSource {
  private let source: any TensorSource
  private let rowsEach: Int
  private let first: Int
  private let count: Int

  init(_ source: any TensorSource, rowsEach: Int, first: Int, count: Int) {
    precondition(first >= 0 && count > 0 && first + count <= rowsEach, "no such part")
    (self.source, self.rowsEach, self.first, self.count) = (source, rowsEach, first, count)
  }

  func read(rows: Range<Int>, rowBytes: Int, into bytes: UnsafeMutableRawBufferPointer) throws {
    var row = rows.lowerBound
    while row < rows.upperBound {
      let end = min(rows.upperBound, (row / count + 1) * count)
      let start = row / count * rowsEach + first + row % count
      let place = (row - rows.lowerBound) * rowBytes
      let part = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[place..<place + (end - row) * rowBytes])
      try unsafe source.read(rows: start..<start + (end - row), rowBytes: rowBytes, into: part)
      row = end
    }
  }
}

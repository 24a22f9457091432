import Tensors

/// Matrices one on another, seen as the rows of one tensor: (matrices, rows, columns). A range of rows is read from the
/// matrices that it touches and from no other.
struct StackedRows: TensorSource {
  private let matrices: [Tensor]
  private let rowsEach: Int

  /// - Parameter matrices: of one shape and type.
  init(_ matrices: [Tensor]) {
    self.matrices = matrices
    rowsEach = max(1, matrices[0].rows)
  }

  func read(rows: Range<Int>, rowBytes: Int, into bytes: UnsafeMutableRawBufferPointer) throws {
    var row = rows.lowerBound
    while row < rows.upperBound {
      let matrix = row / rowsEach
      let end = min(rows.upperBound, (matrix + 1) * rowsEach)
      let place = (row - rows.lowerBound) * rowBytes
      let part = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[place..<place + (end - row) * rowBytes])
      try unsafe matrices[matrix].read(rows: row - matrix * rowsEach..<end - matrix * rowsEach, into: part)
      row = end
    }
  }
}

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

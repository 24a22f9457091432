/// Matrices one on another, seen as the rows of one tensor: (matrices, rows, columns) or (matrices · rows, columns). A range of
/// rows is read from the matrices that it touches and from no other.
package struct StackedRows: TensorSource {
  private let matrices: [Tensor]
  private let rowsEach: Int

  /// - Parameter matrices: of one shape and type.
  package init(_ matrices: [Tensor]) {
    self.matrices = matrices
    rowsEach = max(1, matrices[0].rows)
  }

  package func read(rows: Range<Int>, rowBytes: Int, into bytes: UnsafeMutableRawBufferPointer) throws {
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

  package func readAhead(rows: Range<Int>, rowBytes: Int) {
    for matrix in rows.lowerBound / rowsEach...(rows.upperBound - 1) / rowsEach { matrices[matrix].readAhead() }
  }
}

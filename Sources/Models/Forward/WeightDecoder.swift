import Bytes
import Tensors

/// Brings weights into memory as F32.
enum WeightDecoder {
  /// Rows decoded in one piece hold about this many elements.
  private static let elementsPerPiece = 1 << 17

  /// Reads and decodes `rows` of `tensor` into `target` (rows.count, columns), on `jobs` threads.
  /// - Throws: `UNSUPPORTED` for a type without a decoder; what reading throws.
  static func decode(_ tensor: Tensor, rows: Range<Int>, into target: MatrixView, jobs: Int) throws {
    precondition(target.rows == rows.count && target.columns == tensor.columns, "a target of another shape")
    guard BlockDecoder.supports(tensor.dtype) else {
      throw InputError(.unsupported, "\(tensor.dtype) cannot be decoded", subject: tensor.name)
    }
    let step = max(1, elementsPerPiece / max(1, tensor.columns))
    try Parallel.forEach((rows.count + step - 1) / step, jobs: jobs) { piece in
      let first = piece * step
      let part = first..<min(rows.count, first + step)
      let bytes = try tensor.read(rows: rows.lowerBound + part.lowerBound..<rows.lowerBound + part.upperBound)
      for row in part {
        let start = (row - part.lowerBound) * tensor.rowBytes
        let buffer = unsafe UnsafeMutableBufferPointer(start: target.pointer(row: row), count: target.columns)
        var span = unsafe buffer.mutableSpan
        unsafe BlockDecoder.decode(
          bytes.span.bytes.extracting(start..<start + tensor.rowBytes), as: tensor.dtype, into: &span)
      }
    }
  }

  /// The same into a packed matrix of all of `rows`.
  static func decode(_ tensor: Tensor, rows: Range<Int>, into target: PackedMatrix, jobs: Int) throws {
    precondition(target.rows == rows.count && target.columns == tensor.columns, "a target of another shape")
    let panel = PackedMatrix.panelRows
    let step = max(1, elementsPerPiece / max(1, tensor.columns) / panel) * panel
    let pieces = (rows.count + step - 1) / step
    let buffers = try (0..<max(1, min(jobs, pieces))).map { _ in try Matrix(rows: step, columns: tensor.columns) }
    try Parallel.forEachWithWorker(pieces, jobs: jobs) { piece, worker in
      let part = piece * step..<min(rows.count, (piece + 1) * step)
      let plain = buffers[worker][0..<part.count]
      let source = rows.lowerBound + part.lowerBound..<rows.lowerBound + part.upperBound
      try decode(tensor, rows: source, into: plain, jobs: 1)
      target.pack(plain, at: part.lowerBound)
    }
  }

  /// All rows.
  static func decode(_ tensor: Tensor, into target: MatrixView, jobs: Int) throws {
    try decode(tensor, rows: 0..<tensor.rows, into: target, jobs: jobs)
  }
}

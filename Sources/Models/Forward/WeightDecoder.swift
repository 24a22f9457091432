import Bytes
import Tensors

/// Brings weights into memory as F32.
enum WeightDecoder {
  /// Rows decoded in one piece hold about this many elements.
  private static let elementsPerPiece = 1 << 17

  /// Reads and decodes `rows` of `tensor` into `target` (rows.count, columns), on `jobs` threads.
  static func decode(_ tensor: Tensor, rows: Range<Int>, into target: MatrixView, jobs: Int) throws {
    precondition(target.rows == rows.count && target.columns == tensor.columns, "a target of another shape")
    let step = max(1, elementsPerPiece / max(1, tensor.columns))
    try Parallel.forEach((rows.count + step - 1) / step, jobs: jobs) { piece in
      let first = piece * step
      let part = first..<min(rows.count, first + step)
      try decodePiece(tensor, rows: rows.lowerBound + part.lowerBound..<rows.lowerBound + part.upperBound, target[part])
    }
  }

  /// All rows.
  static func decode(_ tensor: Tensor, into target: MatrixView, jobs: Int) throws {
    try decode(tensor, rows: 0..<tensor.rows, into: target, jobs: jobs)
  }

  private static func decodePiece(_ tensor: Tensor, rows: Range<Int>, _ target: MatrixView) throws {
    guard BlockDecoder.supports(tensor.dtype) else {
      throw InputError(.unsupported, "\(tensor.dtype) cannot be decoded", subject: tensor.name)
    }
    let bytes = try tensor.read(rows: rows)
    for row in 0..<target.rows {
      let start = row * tensor.rowBytes
      let stored = unsafe bytes.span.bytes.extracting(start..<start + tensor.rowBytes)
      var values = unsafe MutableSpan(_unsafeStart: target.pointer(row: row), count: tensor.columns)
      BlockDecoder.decode(stored, as: tensor.dtype, into: &values)
    }
  }
}

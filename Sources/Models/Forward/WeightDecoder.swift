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
    let bytes = try tensor.read(rows: rows)
    for row in 0..<target.rows {
      let start = row * tensor.rowBytes
      try unsafe decodeRow(bytes, start, tensor, target.pointer(row: row))
    }
  }

  private static func decodeRow(
    _ bytes: [UInt8], _ start: Int, _ tensor: Tensor, _ row: UnsafeMutablePointer<Float>
  ) throws {
    unsafe try bytes.withUnsafeBytes { raw in
      for index in 0..<tensor.columns {
        switch tensor.dtype {
        case .f32:
          unsafe row[index] = Float(
            bitPattern: UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: start + 4 * index, as: UInt32.self)))
        case .bf16:
          unsafe row[index] = Float(
            bitPattern: UInt32(
              UInt16(littleEndian: raw.loadUnaligned(fromByteOffset: start + 2 * index, as: UInt16.self))) << 16)
        case .f16:
          unsafe row[index] = Float(
            Float16(
              bitPattern: UInt16(
                littleEndian: raw.loadUnaligned(fromByteOffset: start + 2 * index, as: UInt16.self))))
        default:
          throw InputError(.unsupported, "\(tensor.dtype) cannot be decoded", subject: tensor.name)
        }
      }
    }
  }
}

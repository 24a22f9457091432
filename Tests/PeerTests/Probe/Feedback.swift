import Bytes
import Foundation
import Quantization
import Tensors

/// `feedback X W TOKENS ROWS COLUMNS GROUP OUT`: rounds W (rows, columns) for the inputs X (tokens, columns), both raw F32,
/// into plain groups with error feedback, and writes what was stored as raw F32.
func feedback(_ arguments: [String]) throws {
  guard arguments.count == 7 else { throw InputError(.name, "seven arguments are needed") }
  let counts = arguments[2...5].compactMap { Int($0) }
  guard counts.count == 4 else { throw InputError(.name, "a count is no number") }
  let (tokens, rows, columns, group) = (counts[0], counts[1], counts[2], counts[3])
  func matrix(_ path: String, _ rows: Int) throws -> Matrix {
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    guard data.count == 4 * rows * columns else { throw InputError(.shape, "a file of another size", file: path) }
    let values = unsafe data.withUnsafeBytes { bytes in
      (0..<rows * columns).map { index -> Float in
        let bits = unsafe bytes.loadUnaligned(fromByteOffset: 4 * index, as: UInt32.self)
        return Float(bitPattern: UInt32(littleEndian: bits))
      }
    }
    return try Matrix(rows: rows, columns: columns, values)
  }
  var hessian = try Hessian(size: columns)
  try hessian.add(matrix(arguments[0], tokens).view, jobs: 2)
  guard let factor = try FeedbackFactor(hessian, for: ColumnGroups.none, jobs: 2) else {
    throw InputError(.nonFinite, "the inputs have no factor")
  }
  let result = try PlainFeedback(factor, groupSize: group).quantize(matrix(arguments[1], rows).view)
  let stored = LevelLayout(groupsOf: group).decoded(result.bytes)
  var out = Data()
  for value in stored {
    unsafe withUnsafeBytes(of: value.bitPattern.littleEndian) { unsafe out.append(contentsOf: $0) }
  }
  try out.write(to: URL(fileURLWithPath: arguments[6]))
}

public import Tensors

import GGUF
import Quantization

/// Everything that a conversion will do, decided before anything is written: every tensor's source, type, size and place in
/// the output, and the whole header.
public struct ConversionPlan: Sendable {
  /// One tensor of the output.
  public struct Entry: Sendable {
    /// Where its rows come from, under its name in the output.
    public var source: Tensor
    /// The type it is written in.
    public var type: DType
    /// Absolute position in the output.
    public var offset: Int
    /// Bytes in the output, without padding.
    public var byteCount: Int
    /// Why it is not what the recipe's table says: a row that does not fit, an override.
    public var note: String?
  }

  /// Encoded metadata and tensor table, padded.
  let header: [UInt8]
  public let metadata: Metadata
  public let entries: [Entry]
  /// Exact bytes of the output.
  public let fileBytes: Int

  /// Bytes of all tensors as they stand in the input.
  public var sourceBytes: Int { entries.reduce(0) { $0 + $1.source.byteCount } }
  public var parameterCount: Int { entries.reduce(0) { $0 + $1.source.shape.elementCount } }

  /// Bits a weight over all tensors.
  public var bitsPerWeight: Double {
    Double(entries.reduce(0) { $0 + $1.byteCount }) * 8 / Double(max(1, parameterCount))
  }

  /// A piece of the output that one worker makes: consecutive rows of one tensor.
  struct Item: Sendable {
    var entry: Int
    var rows: Range<Int>
  }

  /// The tensors in pieces of about 260,000 weights, in the order of the file.
  var items: [Item] {
    entries.indices.flatMap { index in
      let tensor = entries[index].source
      let step = max(1, (1 << 18) / max(1, tensor.columns))
      // No item crosses from one expert's matrix into the next: each has an importance of its own.
      let matrix = max(1, tensor.rows / ImportanceMatrix.matrices(of: tensor))
      return stride(from: 0, to: tensor.rows, by: matrix).flatMap { start in
        stride(from: start, to: start + matrix, by: step).map { first in
          Item(entry: index, rows: first..<min(first + step, start + matrix))
        }
      }
    }
  }
}

import Bytes
public import GGUF
import Quantization
public import Tensors

/// How large a file of a split set may grow.
public typealias SplitLimits = GGUF.SplitLimits

/// Everything that a conversion will do, decided before anything is written: every tensor's source, type, size and place in
/// the output, and the whole header of every file.
public struct ConversionPlan: Sendable {
  /// One tensor of the output.
  public struct Entry: Sendable {
    /// Where its rows come from, under its name in the output.
    public var source: Tensor
    /// The type it is written in.
    public var type: DType
    /// Number of the file that it is in.
    public var file: Int
    /// Absolute position in that file.
    public var offset: Int
    /// Bytes in the output, without padding.
    public var byteCount: Int
    /// Why it is not what the recipe's table says: a row that does not fit, an override.
    public var note: String?
    /// Whether a flag or a file named its type.
    public var isAsked: Bool
  }

  /// Of the one file, or of the members of a split set.
  public let layouts: [GGUFLayout]
  public let metadata: Metadata
  public let entries: [Entry]
  private let limits: SplitLimits
  /// Bytes of the files before each.
  let fileStarts: [Int]

  /// - Parameter decisions: of each tensor, in their order.
  /// - Throws: what the layout refuses.
  init(
    _ tensors: [Tensor], _ decisions: [Decision], _ metadata: Metadata, limits: SplitLimits
  ) throws(InputError) {
    layouts = try GGUFLayout.set(
      metadata: metadata, tensors: zip(tensors, decisions).map { ($0.name, $1.type, $0.shape) }, limits: limits)
    self.metadata = metadata
    self.limits = limits
    var starts = [0]
    for layout in layouts { starts.append(starts[starts.count - 1] + layout.fileSize) }
    fileStarts = starts
    let places = layouts.enumerated().flatMap { number, layout in layout.entries.map { (number, $0) } }
    entries = zip(zip(tensors, decisions), places).map { pair, place in
      Entry(
        source: pair.0, type: pair.1.type, file: place.0, offset: place.1.offset, byteCount: place.1.byteCount,
        note: pair.1.note, isAsked: pair.1.isAsked)
    }
  }

  /// Exact bytes of the output, all files together.
  public var fileBytes: Int { layouts.reduce(0) { $0 + $1.fileSize } }

  /// The same plan with other types for some tensors.
  func retyped(_ types: [String: DType], note: String) throws(InputError) -> ConversionPlan {
    try ConversionPlan(
      entries.map(\.source),
      entries.map { entry in
        guard let type = types[entry.source.name], type != entry.type else {
          return Decision(type: entry.type, note: entry.note, isAsked: entry.isAsked)
        }
        return Decision(type: type, note: note)
      }, metadata, limits: limits)
  }

  /// Bytes of all tensors as they stand in the input.
  public var sourceBytes: Int { entries.reduce(0) { $0 + $1.source.byteCount } }
  public var parameterCount: Int { entries.reduce(0) { $0 + $1.source.shape.elementCount } }

  /// Bits a weight over all tensors.
  public var bitsPerWeight: Double {
    Double(entries.reduce(0) { $0 + $1.byteCount }) * 8 / Double(max(1, parameterCount))
  }

  /// Bytes of the output if its tensors had `bits` a weight in all.
  public func fileBytes(atBitsPerWeight bits: Double) -> Int {
    fileBytes - entries.reduce(0) { $0 + $1.byteCount } + Int(Double(parameterCount) * bits / 8)
  }

  /// The new type of every tensor that changes to a block format, by name.
  var quantizedTypes: [String: DType] {
    Dictionary(
      uniqueKeysWithValues: entries.filter { $0.type != $0.source.dtype && $0.type.isBlock }
        .map { ($0.source.name, $0.type) })
  }

  /// A piece of the output that one worker makes: consecutive rows of one tensor.
  struct Item: Sendable {
    var entry: Int
    var rows: Range<Int>
  }

  /// Where a piece stands in the output, whose files are counted through.
  func place(of item: Item) -> Range<Int> {
    let entry = entries[item.entry]
    let rowBytes = entry.byteCount / max(1, entry.source.rows)
    let start = fileStarts[entry.file] + entry.offset
    return start + item.rows.lowerBound * rowBytes..<start + item.rows.upperBound * rowBytes
  }

  /// Whether the first header or a piece ends at `position`.
  func hasPiece(endingAt position: Int) -> Bool {
    position == layouts[0].header.count
      || items(of: entries.indices).contains { place(of: $0).upperBound == position }
  }

  static let weightsInPiece = 1 << 18

  /// The tensors `range` in pieces of about 260,000 weights, in the order of the file.
  func items(of range: Range<Int>) -> [Item] {
    range.flatMap { index in
      let tensor = entries[index].source
      let step = max(1, ConversionPlan.weightsInPiece / max(1, tensor.columns))
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

extension Tensor {
  /// The block that it belongs to; `nil` outside the blocks.
  var layer: Int? {
    guard name.hasPrefix("blk.") else { return nil }
    return Int(name.dropFirst(4).prefix { $0 != "." })
  }
}

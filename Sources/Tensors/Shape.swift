public import Bytes

/// The dimensions of a tensor, row-major: the last one is contiguous and is the length of a row.
///
/// `Shape([rows, columns])` of a linear layer is (outputs, inputs). GGUF writes the same dimensions in reverse.
public struct Shape: Hashable, Sendable {
  public let dimensions: [Int]
  /// The product of the dimensions, proved to fit an `Int`; 1 for a scalar.
  public let elementCount: Int

  /// - Throws: `OVERFLOW` when the product does not fit; `SHAPE` for a negative dimension.
  public init(_ dimensions: [Int]) throws(InputError) {
    guard dimensions.allSatisfy({ $0 >= 0 }) else { throw InputError(.shape, "negative dimension in \(dimensions)") }
    elementCount = try SizeArithmetic.product(dimensions)
    self.dimensions = dimensions
  }

  public var rank: Int { dimensions.count }
  /// Elements of a row: the last dimension, 1 for a scalar.
  public var columns: Int { dimensions.last ?? 1 }
  /// Rows over all leading dimensions. 1 for a vector or scalar; 0 when empty.
  public var rows: Int { columns == 0 ? 0 : elementCount / columns }
  /// The dimensions as GGUF orders them: contiguous first.
  public var ggmlOrder: [Int] { dimensions.reversed() }
}

extension Shape: CustomStringConvertible {
  public var description: String { "[\(dimensions.map(String.init).joined(separator: ", "))]" }
}

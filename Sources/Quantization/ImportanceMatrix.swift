public import Bytes
public import Tensors

/// How much the error of each column of each weight matters: the mean square of the input that the column multiplies.
///
/// A value made elsewhere (llama-imatrix) and keyed by GGUF tensor names. An entry of a stacked tensor
/// of experts holds one vector after another.
public struct ImportanceMatrix: Sendable {
  /// (matrices, columns) row-major a tensor.
  public private(set) var entries: [ExactString: [Float]]
  /// Where it came from, for the metadata of what is made with it.
  public var file: String
  public var datasets: [String]
  public var chunkCount: Int

  public init(file: String, datasets: [String] = [], chunkCount: Int = 0) {
    (self.file, self.datasets, self.chunkCount) = (file, datasets, chunkCount)
    entries = [:]
  }

  /// - Throws: `NONFINITE` naming the entry when a value is NaN, infinite or negative; `DUP`.
  public mutating func add(_ name: String, _ values: [Float]) throws(InputError) {
    if let bad = values.firstIndex(where: { !$0.isFinite || $0 < 0 }) {
      throw InputError(
        .nonFinite, "importance \(values[bad]) of column \(bad)", file: file, subject: name,
        remedy: "calibrate again; such a matrix would spoil every block that it touches")
    }
    guard entries.updateValue(values, forKey: ExactString(name)) == nil else {
      throw InputError(.duplicate, "two entries of this name", file: file, subject: name)
    }
  }

  /// - Throws: `SHAPE` when an entry does not fit the columns and matrices of its tensor.
  public func check(against tensors: [Tensor]) throws(InputError) {
    for tensor in tensors {
      guard let values = entries[ExactString(tensor.name)] else { continue }
      let matrices = ImportanceMatrix.matrices(of: tensor)
      guard values.count == matrices * tensor.columns || values.count == tensor.columns else {
        throw InputError(
          .shape, "\(values.count) values for \(matrices) × \(tensor.columns) columns", file: file,
          subject: tensor.name,
          remedy: "the importance matrix belongs to another model")
      }
    }
  }

  public func contains(_ name: String) -> Bool { entries[ExactString(name)] != nil }

  /// The importance of the columns in the matrix to which row `row` of `tensor` belongs.
  public func columns(of tensor: Tensor, row: Int) -> ArraySlice<Float>? {
    guard let values = entries[ExactString(tensor.name)] else { return nil }
    guard values.count > tensor.columns else { return values[...] }
    let matrix = row / max(1, tensor.rows / ImportanceMatrix.matrices(of: tensor))
    return values[matrix * tensor.columns..<(matrix + 1) * tensor.columns]
  }

  /// Experts in a stacked tensor, else 1.
  public static func matrices(of tensor: Tensor) -> Int {
    tensor.shape.rank > 2 ? tensor.shape.dimensions.dropLast(2).reduce(1, *) : 1
  }
}

public import Bytes
public import Tensors

/// How much the error of each column of each weight matters: the mean square of the input that the column multiplies.
///
/// Made by `quern calibrate` or llama-imatrix and keyed by GGUF tensor names. An entry of a stacked tensor of experts holds
/// one vector after another.
public struct ImportanceMatrix: Sendable {
  /// What an entry is the mean of.
  public struct Sums: Hashable, Sendable {
    /// Σ x², (matrices, columns) row-major.
    public var squares: [Float]
    /// Vectors summed: one number a matrix, or one for all.
    public var counts: [Float]

    public init(squares: [Float], counts: [Float]) { (self.squares, self.counts) = (squares, counts) }

    /// Columns of a matrix.
    public var columns: Int { counts.isEmpty ? 0 : squares.count / counts.count }

    /// The one count that there is, for each of `matrices`.
    mutating func broadcast(to matrices: Int) {
      if counts.count == 1 { counts = Array(repeating: counts[0], count: matrices) }
    }

    /// `squares / counts`, and 1 where nothing was counted.
    var means: [Float] {
      var means: [Float] = []
      means.reserveCapacity(squares.count)
      for (matrix, count) in counts.enumerated() {
        let part = squares[matrix * columns..<(matrix + 1) * columns]
        means += count > 0 ? part.map { $0 / count } : part.map { _ in 1 }
      }
      return means
    }
  }

  /// Means, (matrices, columns) row-major a tensor.
  public private(set) var entries: [ExactString: [Float]]
  /// What `entries` are the means of.
  public private(set) var sums: [ExactString: Sums] = [:]
  /// Where it came from, for the metadata of what is made with it.
  public var file: String
  public var datasets: [String]
  public var chunkCount: Int
  /// Tokens in a chunk, where it says so.
  public var chunkSize: Int?
  /// Whether counts are of chunks and not of tokens, as in the older form of file.
  public var countsChunks = false

  public init(file: String, datasets: [String] = [], chunkCount: Int = 0) {
    (self.file, self.datasets, self.chunkCount) = (file, datasets, chunkCount)
    entries = [:]
  }

  /// Adds an entry whose means are `values`, of one count.
  /// - Throws: `NONFINITE` naming the entry when a value is NaN, infinite or negative; `DUP`.
  public mutating func add(_ name: String, _ values: [Float]) throws(InputError) {
    try add(name, Sums(squares: values, counts: [1]))
  }

  /// - Throws: `NONFINITE` naming the entry when a sum, a count or a mean is NaN, infinite or negative; `SHAPE` when there is
  ///   no count for each matrix; `DUP`.
  public mutating func add(_ name: String, _ sums: Sums) throws(InputError) {
    guard self.sums[ExactString(name)] == nil else {
      throw InputError(.duplicate, "two entries of this name", file: file, subject: name)
    }
    try set(name, sums)
  }

  private mutating func set(_ name: String, _ sums: Sums) throws(InputError) {
    guard !sums.counts.isEmpty, sums.squares.count % sums.counts.count == 0 else {
      throw InputError(
        .shape, "\(sums.squares.count) values for \(sums.counts.count) matrices", file: file, subject: name)
    }
    if let bad = sums.counts.firstIndex(where: { !$0.isFinite || $0 < 0 }) {
      throw InputError(.nonFinite, "count \(sums.counts[bad]) of matrix \(bad)", file: file, subject: name)
    }
    let means = sums.means
    let isSound = { (value: Float) in value.isFinite && value >= 0 }
    if let bad = means.indices.first(where: { !isSound(means[$0]) || !isSound(sums.squares[$0]) }) {
      throw InputError(
        .nonFinite, "importance \(means[bad]) of column \(bad)", file: file, subject: name,
        remedy: "calibrate again; such a matrix would spoil every block that it touches")
    }
    entries[ExactString(name)] = means
    self.sums[ExactString(name)] = sums
  }

  /// Multiplies the importance of the columns of an entry; of each of its matrices by the same factors.
  /// - Parameter factors: one a column.
  public mutating func scaleColumns(of name: String, by factors: [Float]) throws(InputError) {
    guard var sums = sums[ExactString(name)] else { return }
    guard sums.columns == factors.count else {
      throw InputError(
        .shape, "\(sums.columns) columns, factors for \(factors.count)", file: file, subject: name,
        remedy: "the importance matrix belongs to another model")
    }
    for index in sums.squares.indices { sums.squares[index] *= factors[index % factors.count] }
    try set(name, sums)
  }

  /// Adds the sums and counts of `other`, as llama-imatrix does with `--in-file`.
  /// - Parameter chunkSize: tokens in a chunk, for what counts chunks.
  /// - Throws: `SHAPE` for entries of other sizes; `NONFINITE` when a sum overflows.
  public mutating func merge(_ other: ImportanceMatrix, chunkSize: Int) throws(InputError) {
    let scale = other.countsChunks && !countsChunks ? Float(chunkSize) : 1
    for (name, theirs) in other.sums.sorted(by: { $0.key < $1.key }) {
      var theirs = Sums(squares: theirs.squares.map { $0 * scale }, counts: theirs.counts.map { $0 * scale })
      if var mine = sums[name] {
        let matrices = max(mine.counts.count, theirs.counts.count)
        guard mine.squares.count == theirs.squares.count,
          [1, matrices].contains(mine.counts.count), [1, matrices].contains(theirs.counts.count)
        else {
          throw InputError(
            .shape,
            "\(theirs.squares.count) values of \(theirs.counts.count) matrices to be added to \(mine.squares.count) of "
              + "\(mine.counts.count)", file: other.file, subject: name.string,
            remedy: "the importance matrix belongs to another model")
        }
        mine.broadcast(to: matrices)
        theirs.broadcast(to: matrices)
        theirs.squares = zip(mine.squares, theirs.squares).map { $0 + $1 }
        theirs.counts = zip(mine.counts, theirs.counts).map { $0 + $1 }
      }
      do throws(InputError) {
        try set(name.string, theirs)
      } catch {
        throw error.adding(file: other.file)
      }
    }
    datasets = other.datasets + datasets
    let most = sums.values.lazy.flatMap(\.counts).max() ?? 0
    chunkCount =
      countsChunks ? chunkCount + other.chunkCount : (Int(exactly: most.rounded(.down)) ?? 0) / max(1, chunkSize)
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

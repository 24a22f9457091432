import Bytes
import Models
import Quantization
import Synchronization
import Tensors

/// Σ x² over the columns of what some matrices multiply, gathered from many threads.
///
/// Sums are in F64, taken of each chunk alone and added in the order of the chunks, so they depend neither on threads nor on
/// how chunks are grouped.
final class ColumnSums: Sendable {
  private struct State {
    var sums: [Double]
    var count = 0
    /// Chunks added, of all groups.
    var done = 0
    /// Chunks that came before their turn.
    var waiting: [Int: (sums: [Double], count: Int)] = [:]
    var spoilt: Int?
  }

  private let columns: Int
  private let state: Mutex<State>

  init(columns: Int) {
    self.columns = columns
    state = Mutex(State(sums: Array(repeating: 0, count: columns)))
  }

  /// Adds the rows of `x` (tokens, columns), which belong to `chunk` of the text; every chunk from 0 on must come once.
  func add(_ x: MatrixView, chunk: Int) {
    precondition(x.columns == columns, "rows of another width")
    var part = [Double](repeating: 0, count: columns)
    unsafe part.withUnsafeMutableBufferPointer { sums in
      for row in 0..<x.rows {
        let values = unsafe x.pointer(row: row)
        for column in 0..<sums.count {
          let value = unsafe Double(values[column])
          unsafe sums[column] += value * value
        }
      }
    }
    state.withLock { state in
      state.waiting[chunk] = (part, x.rows)
      while let next = state.waiting.removeValue(forKey: state.done) {
        for column in 0..<columns { state.sums[column] += next.sums[column] }
        state.count += next.count
        if state.spoilt == nil, !state.sums.allSatisfy({ Float($0).isFinite }) { state.spoilt = state.done }
        state.done += 1
      }
    }
  }

  /// Counts chunks that nobody multiplied, up to number `chunk`.
  func skip(to chunk: Int) { state.withLock { $0.done = max($0.done, chunk) } }

  /// What `restore` takes: count, chunks done, the spoilt one or -1, and the sums. No chunk may be waiting.
  var savedNumbers: [Double] {
    state.withLock { state in
      precondition(state.waiting.isEmpty, "a chunk is on its way")
      return [Double(state.count), Double(state.done), Double(state.spoilt ?? -1)] + state.sums
    }
  }

  var savedCount: Int { columns + 3 }

  /// - Parameter numbers: of sums of as many columns.
  func restore(_ numbers: [Double]) {
    precondition(numbers.count == savedCount, "sums of another width")
    state.withLock { state in
      // What is no whole number belongs to no file of ours; it is no memory error either.
      (state.count, state.done) = (Int(exactly: numbers[0]) ?? 0, Int(exactly: numbers[1]) ?? 0)
      state.spoilt = Int(exactly: numbers[2]).flatMap { $0 < 0 ? nil : $0 }
      state.sums = Array(numbers[3...])
    }
  }

  /// - Throws: `NONFINITE` naming `tensor` and the first chunk after which a sum is no finite F32.
  func result(for tensor: String) throws(InputError) -> (squares: [Float], count: Float) {
    let state = state.withLock { (sums: $0.sums, count: $0.count, spoilt: $0.spoilt) }
    if let chunk = state.spoilt {
      throw InputError(
        .nonFinite, "the squares of its inputs have no finite sum from chunk \(chunk) of the text on", subject: tensor,
        remedy: "a weight is NaN, infinite or far too large; inspect the model and its source")
    }
    return (state.sums.map { Float($0) }, Float(state.count))
  }
}

/// The sums of one block's linear layers.
struct BlockSums: Sendable {
  private struct Key: Hashable {
    var input: LinearInput
    /// `nil` for what is not an expert's.
    var expert: Int?
  }

  private let sums: [Key: ColumnSums]
  private let layer: Int
  private let experts: Int

  init(_ parameters: LlamaParameters, layer: Int) {
    self.layer = layer
    experts = parameters.expertCount
    var sums: [Key: ColumnSums] = [:]
    for input in LinearInput.allCases {
      if parameters.expertCount == 0 || input != .feedForwardDown {
        sums[Key(input: input)] = ColumnSums(columns: parameters.size(of: input))
      }
      guard input == .feedForward || input == .feedForwardDown else { continue }
      for expert in 0..<parameters.expertCount {
        sums[Key(input: input, expert: expert)] = ColumnSums(columns: parameters.size(of: input))
      }
    }
    self.sums = sums
  }

  /// Always in the same order.
  var ordered: [ColumnSums] {
    LinearInput.allCases.flatMap { input in
      ([nil] + (0..<experts).map { $0 }).compactMap { sums[Key(input: input, expert: $0)] }
    }
  }

  /// An observer of a group of chunks of which the first is number `first` of the text.
  func observer(from first: Int) -> LinearObserver {
    let sums = sums
    return { input, expert, chunk, x in
      sums[Key(input: input, expert: expert)]?.add(x, chunk: first + chunk)
    }
  }

  /// The group that ends before chunk `end` has passed; experts that it did not choose were not observed.
  func finishGroup(at end: Int) {
    for sums in sums.values { sums.skip(to: end) }
  }

  /// Adds an entry for every weight of the block.
  func add(to matrix: inout ImportanceMatrix) throws(InputError) {
    for input in LinearInput.allCases {
      let isExperts = experts > 0 && (input == .feedForward || input == .feedForwardDown)
      if experts > 0, input == .feedForward {
        try add("blk.\(layer).ffn_gate_inp.weight", [Key(input: input)], to: &matrix)
      }
      let keys = isExperts ? (0..<experts).map { Key(input: input, expert: $0) } : [Key(input: input)]
      for name in input.weights(layer: layer, hasExperts: experts > 0) { try add(name, keys, to: &matrix) }
    }
  }

  private func add(_ name: String, _ keys: [Key], to matrix: inout ImportanceMatrix) throws(InputError) {
    var entry = ImportanceMatrix.Sums(squares: [], counts: [])
    for key in keys {
      guard let (squares, count) = try sums[key]?.result(for: name) else { continue }
      entry.squares += squares
      entry.counts.append(count)
    }
    try matrix.add(name, entry)
  }
}

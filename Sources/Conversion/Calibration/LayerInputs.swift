import Bytes
import Models
import Synchronization
import Tensors

/// What the linear layers of one block multiplied, for some chunks of text: one matrix (tokens, in) for each kind of input,
/// and for each expert one of the tokens that chose it.
struct LayerInputs: Sendable {
  /// Who saw them.
  struct Key: Hashable, Sendable {
    var input: LinearInput
    /// `nil` for what is not an expert's.
    var expert: Int?
  }

  private let parameters: LlamaParameters
  private let seesExperts: Bool
  private let matrices: [LinearInput: Matrix]
  private var experts: [Key: Matrix] = [:]
  private(set) var tokens = 0

  /// - Parameters:
  ///   - tokens: at most so many at a time.
  ///   - seesExperts: whether the inputs of experts are kept.
  init(_ parameters: LlamaParameters, tokens: Int, seesExperts: Bool) throws(InputError) {
    (self.parameters, self.seesExperts) = (parameters, seesExperts)
    var matrices: [LinearInput: Matrix] = [:]
    for key in LayerInputs.keys(parameters) where key.expert == nil {
      matrices[key.input] = try Matrix(rows: tokens, columns: parameters.size(of: key.input))
    }
    self.matrices = matrices
  }

  /// Those whose weights are rounded.
  static func keys(_ parameters: LlamaParameters) -> [Key] {
    LinearInput.allCases.flatMap { input in
      parameters.hasExperts(input)
        ? (0..<parameters.expertCount).map { Key(input: input, expert: $0) } : [Key(input: input)]
    }
  }

  /// (tokens, in), in the order of the text; `nil` when no token came.
  subscript(key: Key) -> MatrixView? {
    key.expert == nil ? matrices[key.input].map { $0[0..<tokens] } : experts[key]?.view
  }

  /// Keeps what the linear layers of `layer`, which is loaded, see of `states`.
  /// - Parameters:
  ///   - advances: whether `states` are passed through the layer, in place; else they stay.
  ///   - observe: sees it too.
  mutating func collect(
    layer: Int, of pass: ForwardPass, _ states: HiddenStates, advances: Bool = true, observe: LinearObserver? = nil
  ) throws {
    var starts: [Int] = []
    tokens = 0
    for chunk in states.chunks {
      starts.append(tokens)
      tokens += chunk.count
    }
    let (matrices, first, seesExperts) = (matrices, starts, seesExperts)
    let pieces = Pieces()
    let keep: LinearObserver = { input, expert, chunk, x in
      observe?(input, expert, chunk, x)
      if let expert {
        if seesExperts && x.rows > 0 { pieces.add(x, Key(input: input, expert: expert), chunk) }
      } else if let matrix = matrices[input] {
        matrix[first[chunk]..<first[chunk] + x.rows].copy(x)
      }
    }
    if advances {
      try pass.applyLoaded(layer, to: states, observe: keep)
    } else {
      try pass.observeLoaded(layer, spending: states.copy(), keep)
    }
    experts = try pieces.joined()
  }

  /// What the experts saw, chunk by chunk, from many threads.
  private final class Pieces: Sendable {
    private let state = Mutex<(pieces: [Key: [(chunk: Int, x: Matrix)]], failure: InputError?)>(([:], nil))

    func add(_ x: MatrixView, _ key: Key, _ chunk: Int) {
      do throws(InputError) {
        let copy = try Matrix(rows: x.rows, columns: x.columns)
        copy.view.copy(x)
        state.withLock { $0.pieces[key, default: []].append((chunk, copy)) }
      } catch {
        state.withLock { $0.failure = error }
      }
    }

    /// In the order of the chunks.
    func joined() throws -> [Key: Matrix] {
      let (pieces, failure) = state.withLock { ($0.pieces, $0.failure) }
      if let failure { throw failure }
      return try pieces.mapValues { parts in
        let rows = parts.reduce(0) { $0 + $1.x.rows }
        let joined = try Matrix(rows: rows, columns: parts[0].x.columns)
        var row = 0
        for part in parts.sorted(by: { $0.chunk < $1.chunk }) {
          joined[row..<row + part.x.rows].copy(part.x.view)
          row += part.x.rows
        }
        return joined
      }
    }
  }
}

extension LlamaParameters {
  /// Columns of the weights that multiply `input`.
  func size(of input: LinearInput) -> Int {
    switch input {
    case .attention, .feedForward: hiddenSize
    case .attentionOutput: querySize
    case .feedForwardDown: feedForwardSize
    }
  }

  /// Whether the weights that multiply `input` are stacks of experts.
  func hasExperts(_ input: LinearInput) -> Bool {
    expertCount > 0 && (input == .feedForward || input == .feedForwardDown)
  }
}

import Bytes
import Models
import Tensors

/// What the linear layers of one block multiplied, for some chunks of text: one matrix (tokens, in) for each kind of input.
///
/// Dense layers only.
struct LayerInputs: Sendable {
  private let matrices: [Matrix]
  private(set) var tokens = 0

  /// - Parameter tokens: at most so many at a time.
  init(_ parameters: LlamaParameters, tokens: Int) throws(InputError) {
    var matrices: [Matrix] = []
    for input in LinearInput.allCases {
      matrices.append(try Matrix(rows: tokens, columns: parameters.size(of: input)))
    }
    self.matrices = matrices
  }

  subscript(input: LinearInput) -> MatrixView { matrices[input.rawValue][0..<tokens] }

  /// Passes `states` through `layer`, which is loaded, in place, and keeps what its linear layers saw.
  mutating func collect(layer: Int, of pass: ForwardPass, _ states: HiddenStates) throws {
    var starts: [Int] = []
    tokens = 0
    for chunk in states.chunks {
      starts.append(tokens)
      tokens += chunk.count
    }
    let (matrices, first) = (matrices, starts)
    try pass.applyLoaded(layer, to: states) { input, _, chunk, x in
      let target = matrices[input.rawValue][first[chunk]..<first[chunk] + x.rows]
      for row in 0..<x.rows {
        unsafe target.pointer(row: row).update(from: x.pointer(row: row), count: x.columns)
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
}

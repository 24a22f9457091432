import Bytes
import Models
import Quantization
import Tensors

/// Factors for the channels between two layers of a block: what makes the channels is divided by them, what multiplies them
/// is multiplied, and the model stays what it is (AWQ, arXiv 2306.00978).
///
/// Columns that large inputs meet become large and are rounded more exactly, at the cost of the others of their block. The
/// result is an ordinary model.
package struct ChannelScales: Sendable {
  /// Where channels can be scaled in a dense block.
  package enum Place: Int, CaseIterable, Sendable {
    /// `attn_norm` -> Q, K, V.
    case attention
    /// V -> `attn_output`. A head of V is seen by a group of queries' heads, whose columns share its factors.
    case value
    /// `ffn_norm` -> gate, up.
    case feedForward
    /// up -> down; `silu(gate) · up` is linear in up.
    case up

    /// What the consumers multiply.
    var input: LinearInput {
      switch self {
      case .attention: .attention
      case .value: .attentionOutput
      case .feedForward: .feedForward
      case .up: .feedForwardDown
      }
    }

    /// What the matrices whose columns are multiplied are.
    func consumers(layer: Int) -> [String] { input.weights(layer: layer, hasExperts: false) }

    /// What makes the channels: a norm's vector, or a matrix by its rows.
    func producer(layer: Int) -> (weight: String, bias: String?) {
      let name = { (part: String) in "blk.\(layer).\(part)" }
      return switch self {
      case .attention: (name("attn_norm.weight"), nil)
      case .value: (name("attn_v.weight"), name("attn_v.bias"))
      case .feedForward: (name("ffn_norm.weight"), nil)
      case .up: (name("ffn_up.weight"), name("ffn_up.bias"))
      }
    }

    /// Channels that have factors.
    package func channels(_ parameters: LlamaParameters) -> Int {
      self == .value ? parameters.keyValueSize : parameters.size(of: input)
    }

    /// The channel of each column of the consumers.
    func channel(ofColumn column: Int, _ parameters: LlamaParameters) -> Int {
      guard self == .value else { return column }
      let (head, element) = column.quotientAndRemainder(dividingBy: parameters.headSize)
      return head / (parameters.headCount / parameters.keyValueHeadCount) * parameters.headSize + element
    }
  }

  /// By name of the tensor: what its columns are multiplied by and what its rows are.
  private var columns: [String: [Float]] = [:]
  private var rows: [String: [Float]] = [:]

  package init() {}

  /// Places where something is scaled.
  package private(set) var count = 0

  /// Scales the channels of a place by `factors`, positive numbers.
  package mutating func set(_ place: Place, layer: Int, _ factors: [Float], _ parameters: LlamaParameters) {
    precondition(factors.count == place.channels(parameters), "not a factor a channel")
    count += 1
    let spread = (0..<parameters.size(of: place.input)).map { factors[place.channel(ofColumn: $0, parameters)] }
    for name in place.consumers(layer: layer) { columns[name] = spread }
    let inverse = factors.map { 1 / $0 }
    let producer = place.producer(layer: layer)
    switch place {
    case .attention, .feedForward: columns[producer.weight] = inverse
    case .value, .up: rows[producer.weight] = inverse
    }
    if let bias = producer.bias { columns[bias] = inverse }
  }

  /// The same model, its scaled tensors in F32.
  package func fold(into model: ModelSource) throws -> ModelSource {
    var scaled: [Tensor] = []
    for tensor in model.tensors where columns[tensor.name] != nil || rows[tensor.name] != nil {
      let source = ScaledRows(tensor: tensor, columns: columns[tensor.name], rows: rows[tensor.name])
      scaled.append(try Tensor(name: tensor.name, dtype: .f32, shape: tensor.shape, source: source))
    }
    return try model.replacing(scaled)
  }

  /// The importance of the columns of the folded model: their inputs are smaller by the factors.
  package func fold(into importance: ImportanceMatrix) throws(InputError) -> ImportanceMatrix {
    var folded = importance
    for (name, factors) in columns where importance.contains(name) {
      try folded.scaleColumns(of: name, by: factors.map { 1 / ($0 * $0) })
    }
    return folded
  }
}

/// A tensor's rows in F32, times factors.
private struct ScaledRows: TensorSource {
  let tensor: Tensor
  let columns: [Float]?
  let rows: [Float]?

  func read(rows range: Range<Int>, rowBytes: Int, into bytes: UnsafeMutableRawBufferPointer) throws {
    let width = tensor.columns
    var values = try tensor.values(of: range)
    for (index, row) in range.enumerated() {
      let factor = rows?[row] ?? 1
      for column in 0..<width { values[index * width + column] *= factor * (columns?[column] ?? 1) }
    }
    unsafe values.withUnsafeBytes { unsafe bytes.copyMemory(from: $0) }
  }
}

import Bytes
import Tensors

/// One of an expert's three matrices, by the letter that Mixtral has for it.
enum ExpertPart: String, CaseIterable {
  case gate = "w1"
  case down = "w2"
  case up = "w3"

  /// The GGUF name of the stack of all experts' matrices of this part.
  func stack(_ layer: Int) -> String {
    switch self {
    case .gate: "blk.\(layer).ffn_gate_exps.weight"
    case .down: "blk.\(layer).ffn_down_exps.weight"
    case .up: "blk.\(layer).ffn_up_exps.weight"
    }
  }

  func huggingFaceName(expert: Int, layer: Int) -> String {
    "model.layers.\(layer).block_sparse_moe.experts.\(expert).\(rawValue).weight"
  }
}

extension LlamaMap {
  /// What a tensor of a checkpoint becomes.
  enum Place {
    /// A tensor of this GGUF name.
    case tensor(String)
    /// A matrix in a stack: `block_sparse_moe.experts.E.w1.weight`, as Mixtral's own checkpoints have it.
    case expert(Int, layer: Int, ExpertPart)
    /// Two stacks: `mlp.experts.gate_up_proj` (experts, gates then ups, hidden), as transformers 5 has it in memory.
    case gatesAndUps(layer: Int)

    /// From a name that may lack its leading `model.`; `nil` when no Llama has such a tensor.
    init?(_ name: String) {
      var path = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)[...]
      guard path.count >= 2 else { return nil }
      if path.first != "model" && path.first != "lm_head" { path = ["model"] + path }
      guard path.dropFirst().first == "layers", path.count > 3 else {
        guard let kind = Place.kind(path.removeLast()) else { return nil }
        let whole = path.joined(separator: ".")
        guard let part = wholeModel.first(where: { $0.source == whole }) else { return nil }
        self = .tensor("\(part.gguf).\(kind)")
        return
      }
      guard let layer = Place.index(path[path.startIndex + 2]) else { return nil }
      let rest = Array(path.dropFirst(3))
      switch (rest.count, rest.first, rest.dropFirst().first) {
      case (3, "mlp", "experts") where rest[2] == "gate_up_proj": self = .gatesAndUps(layer: layer)
      case (3, "mlp", "experts") where rest[2] == "down_proj": self = .tensor(ExpertPart.down.stack(layer))
      case (5, "block_sparse_moe", "experts"):
        guard let expert = Place.index(rest[2]), let part = ExpertPart(rawValue: rest[3]), rest[4] == "weight" else {
          return nil
        }
        self = .expert(expert, layer: layer, part)
      default:
        let part = rest.dropLast().joined(separator: ".")
        guard let kind = Place.kind(rest.last ?? ""), let entry = perLayer.first(where: { $0.source == part }) else {
          return nil
        }
        self = .tensor("blk.\(layer).\(entry.gguf).\(kind)")
      }
    }

    private static func kind(_ text: String) -> String? { text == "weight" || text == "bias" ? text : nil }

    /// A number written the one way that it is written: no sign, no leading zero.
    private static func index(_ text: String) -> Int? {
      guard let number = Int(text), String(number) == text, number >= 0 else { return nil }
      return number
    }

    /// The GGUF names that the tensor takes up; of an expert a name that only this matrix has.
    var names: [String] {
      switch self {
      case .tensor(let name): [name]
      case .expert(let expert, let layer, let part): ["\(part.stack(layer)) of expert \(expert)"]
      case .gatesAndUps(let layer): [ExpertPart.gate.stack(layer), ExpertPart.up.stack(layer)]
      }
    }

    /// The shape that the tensor must have in the checkpoint; `nil` when the model has no such tensor.
    func dimensions(in expected: [ExactString: ExpectedTensor], _ parameters: LlamaParameters) -> [Int]? {
      func stack(_ part: ExpertPart, _ layer: Int) -> [Int]? { expected[ExactString(part.stack(layer))]?.dimensions }
      switch self {
      case .tensor(let name): return expected[ExactString(name)]?.dimensions
      case .expert(let expert, let layer, let part):
        return expert < parameters.expertCount ? stack(part, layer).map { Array($0.dropFirst()) } : nil
      case .gatesAndUps(let layer):
        return stack(.gate, layer).map { [$0[0], 2 * $0[1], $0[2]] }
      }
    }
  }

  /// Experts' matrices on the way to one tensor a part and layer.
  struct ExpertStacks {
    private let count: Int
    private var layers: [Int: [ExpertPart: [Int: Tensor]]] = [:]

    init(count: Int) { self.count = count }

    /// - Returns: the layer's three stacks when this matrix was the last that they lacked, else nothing.
    /// - Throws: `TYPE` when the matrices of a stack are of several types.
    mutating func add(
      _ tensor: Tensor, _ expert: Int, layer: Int, _ part: ExpertPart, file: String?
    ) throws(InputError) -> [Tensor] {
      if let other = layers[layer]?[part]?.first?.value, other.dtype != tensor.dtype {
        throw InputError(
          .type, "\(tensor.dtype), but \(other.name) is \(other.dtype): experts of one layer must be of one type",
          file: file, subject: tensor.name, remedy: "save the checkpoint in one type")
      }
      layers[layer, default: [:]][part, default: [:]][expert] = tensor
      guard let parts = layers[layer], parts.values.reduce(0, { $0 + $1.count }) == 3 * count else { return [] }
      layers[layer] = nil
      var stacks: [Tensor] = []
      for part in ExpertPart.allCases {
        let matrices = (0..<count).compactMap { parts[part]?[$0] }
        guard let first = matrices.first else { continue }
        stacks.append(
          try Tensor(
            name: part.stack(layer), dtype: first.dtype, shape: Shape([count] + first.shape.dimensions),
            source: StackedRows(matrices)))
      }
      return stacks
    }

    /// The first matrix that some stack still lacks, as a checkpoint names it.
    var firstMissing: String? {
      guard let layer = layers.keys.min(), let parts = layers[layer] else { return nil }
      for expert in 0..<count {
        for part in ExpertPart.allCases where parts[part]?[expert] == nil {
          return part.huggingFaceName(expert: expert, layer: layer)
        }
      }
      return nil
    }

    /// The gates and the ups of a tensor (experts, gates then ups, hidden), under `names`.
    static func parted(_ tensor: Tensor, as names: [String]) throws(InputError) -> [Tensor] {
      let dimensions = tensor.shape.dimensions
      let half = dimensions[1] / 2
      var parts: [Tensor] = []
      for (index, name) in names.enumerated() {
        parts.append(
          try tensor.viewed(name: name, shape: Shape([dimensions[0], half, dimensions[2]])) {
            PartOfEachMatrix($0, rowsEach: 2 * half, first: index * half, count: half)
          })
      }
      return parts
    }
  }
}

public import Bytes
public import Tensors

/// From a Hugging Face Llama's, Mistral's or Mixtral's tensors to a GGUF Llama's: names, the row order of Q and K, experts
/// stacked, and `rope_freqs.weight`.
///
/// Nothing is read; every result is a view of its source.
public enum LlamaMap {
  /// - Parameters:
  ///   - tensors: in the order of the checkpoint: shards by file name, within a shard by tensor name. It is kept, which is
  ///     the order of convert_hf_to_gguf.py (llama.cpp 0c1e57098); experts stand where their layer's last one stood.
  ///   - file: named in errors.
  /// - Returns: `rope_freqs.weight` first when the model scales its frequencies, then the tensors in the given order under
  ///   their GGUF names. A tied output is left out unless the checkpoint stores it.
  /// - Throws: `NAME` for a tensor that no Llama has, `DUP`, `MISSING`, `SHAPE`, `TYPE`, naming the tensor as the
  ///   checkpoint does.
  public static func ggufTensors(
    from tensors: [Tensor], parameters: LlamaParameters, file: String? = nil
  ) throws(InputError) -> [Tensor] {
    var expected: [ExactString: ExpectedTensor] = [:]
    for tensor in parameters.expectedTensors { expected[ExactString(tensor.name)] = tensor }
    var mapped = try ropeDivisors(parameters)
    var seen: Set<ExactString> = []
    var stacks = ExpertStacks(count: parameters.expertCount)
    for tensor in tensors where !isNoWeight(tensor.name) {
      guard let place = Place(tensor.name), let dimensions = place.dimensions(in: expected, parameters) else {
        throw InputError(
          .name, "a Llama with this config.json has no such tensor", file: file, subject: tensor.name,
          remedy: "check model_type, num_hidden_layers, attention_bias, mlp_bias and num_local_experts")
      }
      for name in place.names {
        guard seen.insert(ExactString(name)).inserted else {
          throw InputError(.duplicate, "two tensors are \(name)", file: file, subject: tensor.name)
        }
      }
      guard tensor.shape.dimensions == dimensions else {
        throw InputError(
          .shape, "shape \(tensor.shape) found, \(dimensions) expected from config.json", file: file,
          subject: tensor.name)
      }
      guard tensor.dtype.isFloatingPoint else {
        throw InputError(
          .type, "\(tensor.dtype) is no type for a weight", file: file, subject: tensor.name,
          remedy: "use a checkpoint in BF16, F16 or F32")
      }
      switch place {
      case .tensor(let name): mapped.append(try permuted(tensor, as: name, parameters))
      case .expert(let index, let layer, let part):
        for stacked in try stacks.add(tensor, index, layer: layer, part, file: file) {
          guard seen.insert(ExactString(stacked.name)).inserted else {
            throw InputError(.duplicate, "a second tensor for \(stacked.name)", file: file, subject: tensor.name)
          }
          mapped.append(stacked)
        }
      case .gatesAndUps: mapped += try ExpertStacks.parted(tensor, as: place.names)
      }
    }
    if let missing = stacks.firstMissing {
      throw InputError(
        .missing, "the tensor is missing", file: file, subject: missing,
        remedy: "download the missing shard, or correct num_local_experts in config.json")
    }
    for entry in parameters.expectedTensors where entry.isRequired && !seen.contains(ExactString(entry.name)) {
      throw InputError(
        .missing, "the tensor is missing", file: file, subject: huggingFaceName(entry.name),
        remedy: "download the missing shard, or correct config.json")
    }
    return mapped
  }

  /// `rope_freqs.weight`, when the model scales its frequencies.
  static func ropeDivisors(_ parameters: LlamaParameters) throws(InputError) -> [Tensor] {
    guard
      let divisors = parameters.ropeScaling.frequencyDivisors(
        theta: parameters.ropeTheta, headSize: parameters.headSize)
    else { return [] }
    return [
      try Tensor(name: "rope_freqs.weight", dtype: .f32, shape: Shape([divisors.count]), source: MemoryRows(divisors))
    ]
  }

  /// Stored by some checkpoints, but computed and no weight.
  private static func isNoWeight(_ name: String) -> Bool {
    name.hasSuffix(".rotary_emb.inv_freq") || name.hasSuffix(".attention.masked_bias")
  }

  static let wholeModel: [(source: String, gguf: String)] = [
    ("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"), ("lm_head", "output"),
  ]

  /// What follows `model.layers.N.` and `blk.N.`
  static let perLayer: [(source: String, gguf: String)] = [
    ("input_layernorm", "attn_norm"), ("self_attn.q_proj", "attn_q"), ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"), ("self_attn.o_proj", "attn_output"), ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"), ("mlp.up_proj", "ffn_up"), ("mlp.down_proj", "ffn_down"),
    ("block_sparse_moe.gate", "ffn_gate_inp"), ("mlp.gate", "ffn_gate_inp"),
  ]

  /// The Hugging Face name of a GGUF name, for messages about what is missing and for writing Hugging Face checkpoints; of
  /// stacked experts the first one's.
  package static func huggingFaceName(_ name: String) -> String {
    let parts = name.split(separator: ".").map(String.init)
    guard let kind = parts.last else { return name }
    if parts.count == 4, parts[0] == "blk" {
      if let part = perLayer.first(where: { $0.gguf == parts[2] }) {
        return "model.layers.\(parts[1]).\(part.source).\(kind)"
      }
      if let layer = Int(parts[1]), let part = ExpertPart.allCases.first(where: { $0.stack(layer) == name }) {
        return part.huggingFaceName(expert: 0, layer: layer)
      }
    }
    return wholeModel.first { $0.gguf == parts[0] }.map { "\($0.source).\(kind)" } ?? name
  }

  private static func permuted(
    _ tensor: Tensor, as name: String, _ parameters: LlamaParameters
  ) throws(InputError) -> Tensor {
    guard name.contains(".attn_q.") || name.contains(".attn_k.") else { return tensor.renamed(name) }
    let headSize = parameters.headSize
    if tensor.shape.rank == 1 {
      let count = tensor.columns
      return try tensor.viewed(name: name) { PermutedVector($0, headSize: headSize, count: count) }
    }
    return try tensor.viewed(name: name) { PermutedRows($0, headSize: headSize) }
  }
}

public import Bytes
public import Tensors

/// From a Hugging Face Llama's tensors to a GGUF Llama's: names, the row order of Q and K, and `rope_freqs.weight`.
///
/// Nothing is read; every result is a view of its source.
public enum LlamaMap {
  /// - Parameters:
  ///   - tensors: in the order of the checkpoint: shards by file name, within a shard by tensor name. It is kept, which is
  ///     the order of convert_hf_to_gguf.py (llama.cpp 0c1e57098).
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
    for tensor in tensors where !isNoWeight(tensor.name) {
      guard let name = ggufName(tensor.name), let entry = expected[ExactString(name)] else {
        throw InputError(
          .name, "a Llama with this config.json has no such tensor", file: file, subject: tensor.name,
          remedy: "check model_type, num_hidden_layers, attention_bias and mlp_bias")
      }
      guard seen.insert(ExactString(name)).inserted else {
        throw InputError(.duplicate, "two tensors are \(name)", file: file, subject: tensor.name)
      }
      guard tensor.shape.dimensions == entry.dimensions else {
        throw InputError(
          .shape, "shape \(tensor.shape) found, \(entry.dimensions) expected from config.json", file: file,
          subject: tensor.name)
      }
      guard tensor.dtype.isFloatingPoint else {
        throw InputError(
          .type, "\(tensor.dtype) is no type for a weight", file: file, subject: tensor.name,
          remedy: "use a checkpoint in BF16, F16 or F32")
      }
      mapped.append(try permuted(tensor, as: name, parameters))
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

  private static let wholeModel: [(source: String, gguf: String)] = [
    ("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"), ("lm_head", "output"),
  ]

  /// What follows `model.layers.N.` and `blk.N.`
  private static let perLayer: [(source: String, gguf: String)] = [
    ("input_layernorm", "attn_norm"), ("self_attn.q_proj", "attn_q"), ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"), ("self_attn.o_proj", "attn_output"), ("post_attention_layernorm", "ffn_norm"),
    ("mlp.gate_proj", "ffn_gate"), ("mlp.up_proj", "ffn_up"), ("mlp.down_proj", "ffn_down"),
  ]

  /// The GGUF name of a Hugging Face name, which may lack its leading `model.`; `nil` when no Llama has such a tensor.
  static func ggufName(_ name: String) -> String? {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    guard parts.count >= 2, let kind = parts.last, kind == "weight" || kind == "bias" else { return nil }
    var path = parts.dropLast()
    if path.first != "model" && path.first != "lm_head" { path = ["model"] + path }
    if path.dropFirst().first == "layers", path.count > 3 {
      let number = path[path.startIndex + 2]
      guard let layer = Int(number), String(layer) == number, layer >= 0 else { return nil }
      let rest = path.dropFirst(3).joined(separator: ".")
      return perLayer.first { $0.source == rest }.map { "blk.\(layer).\($0.gguf).\(kind)" }
    }
    let whole = path.joined(separator: ".")
    return wholeModel.first { $0.source == whole }.map { "\($0.gguf).\(kind)" }
  }

  /// The inverse of `ggufName`, for messages about what is missing and for writing Hugging Face checkpoints.
  package static func huggingFaceName(_ name: String) -> String {
    let parts = name.split(separator: ".").map(String.init)
    guard let kind = parts.last else { return name }
    if parts.count == 4, parts[0] == "blk", let part = perLayer.first(where: { $0.gguf == parts[2] }) {
      return "model.layers.\(parts[1]).\(part.source).\(kind)"
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

public import Tensors
import Bytes

extension LlamaMap {
  private static let metaWhole: [(source: String, gguf: String)] = [
    ("tok_embeddings", "token_embd"), ("norm", "output_norm"), ("output", "output"),
  ]

  /// What follows `layers.N.` and `blk.N.`
  private static let metaLayer: [(source: String, gguf: String)] = [
    ("attention_norm", "attn_norm"), ("attention.wq", "attn_q"), ("attention.wk", "attn_k"), ("attention.wv", "attn_v"),
    ("attention.wo", "attn_output"), ("ffn_norm", "ffn_norm"), ("feed_forward.w1", "ffn_gate"),
    ("feed_forward.w3", "ffn_up"), ("feed_forward.w2", "ffn_down"),
  ]

  /// From Meta's tensors to a GGUF Llama's: other names and nothing else, since rows of Q and K lie in the order of GGUF.
  /// - Returns: `rope_freqs.weight` first when the model scales its frequencies, then the tensors in the given order.
  /// - Throws: `NAME`, `MISSING`, `SHAPE`, `TYPE`, naming the tensor as Meta does.
  static func ggufTensors(meta tensors: [Tensor], _ meta: MetaParameters) throws(InputError) -> [Tensor] {
    var expected: [ExactString: ExpectedTensor] = [:]
    for tensor in meta.parameters.expectedTensors { expected[ExactString(tensor.name)] = tensor }
    var mapped = try ropeDivisors(meta.parameters)
    var seen: Set<ExactString> = []
    for tensor in tensors {
      func refuse(_ code: InputError.Code, _ problem: String, _ remedy: String?) -> InputError {
        InputError(code, problem, file: meta.file, subject: tensor.name, remedy: remedy)
      }
      guard let name = ggufName(meta: tensor.name), let entry = expected[ExactString(name)],
        seen.insert(ExactString(name)).inserted
      else {
        throw refuse(.name, "a Llama with this params.json has no such tensor", "check n_layers")
      }
      guard tensor.shape.dimensions == entry.dimensions else {
        throw refuse(
          .shape, "shape \(tensor.shape) found, \(entry.dimensions) expected from params.json",
          "use the params.json that was published with these shards")
      }
      guard tensor.dtype.isFloatingPoint, tensor.dtype.blockBytes >= 2 else {
        throw refuse(.type, "\(tensor.dtype) is no type for a weight", "use the model in BF16")
      }
      mapped.append(tensor.renamed(name))
    }
    for entry in meta.parameters.expectedTensors where entry.isRequired && !seen.contains(ExactString(entry.name)) {
      throw InputError(
        .missing, "the tensor is missing", file: meta.file, subject: metaName(entry.name),
        remedy: "download the shards again, or correct n_layers")
    }
    return mapped
  }

  /// The GGUF name of Meta's; `nil` when no Llama has such a tensor.
  static func ggufName(meta name: String) -> String? {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    guard parts.last == "weight" else { return nil }
    if parts.first == "layers", parts.count > 3 {
      guard let layer = Int(parts[1]), String(layer) == parts[1], layer >= 0 else { return nil }
      let rest = parts[2..<parts.count - 1].joined(separator: ".")
      return metaLayer.first { $0.source == rest }.map { "blk.\(layer).\($0.gguf).weight" }
    }
    let whole = parts.dropLast().joined(separator: ".")
    return metaWhole.first { $0.source == whole }.map { "\($0.gguf).weight" }
  }

  /// The inverse of `ggufName(meta:)`, for messages about what is missing.
  static func metaName(_ name: String) -> String {
    let parts = name.split(separator: ".").map(String.init)
    if parts.count == 4, parts[0] == "blk", let part = metaLayer.first(where: { $0.gguf == parts[2] }) {
      return "layers.\(parts[1]).\(part.source).weight"
    }
    return metaWhole.first { $0.gguf == parts[0] }.map { "\($0.source).weight" } ?? name
  }
}

extension ModelSource {
  /// From a checkpoint in Meta's form.
  /// - Parameter tensors: under Meta's names and whole.
  public init(meta: MetaParameters, tensors: [Tensor]) throws(InputError) {
    try self.init(
      parameters: meta.parameters, tensors: try LlamaMap.ggufTensors(meta: tensors, meta), file: meta.file)
  }
}

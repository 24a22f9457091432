public import Bytes
public import Tensors

/// A Llama's parameters from Meta's `params.json`, completed by what only the release or the tensors tell.
public struct MetaParameters: Sendable {
  public let parameters: LlamaParameters
  public let release: MetaRelease
  /// What was concluded and not read, a sentence each.
  public let notes: [String]
  /// The file's name, for messages.
  let file: String?

  /// - Parameters:
  ///   - params: `params.json`; its keys may also stand under `model`.
  ///   - tensors: under Meta's names and whole.
  ///   - ropeFactor: what the low rotary frequencies are divided by, instead of the release's own factor. Of no effect on
  ///     a model that does not scale them.
  /// - Throws: `UNSUPPORTED` for quantized, vision and mixture models and those of other makers; `MISSING`, `TYPE`,
  ///   `LIMIT` and `SHAPE` naming the key, the last also when the feed-forward width that follows from `multiple_of` and
  ///   `ffn_dim_multiplier` is not that of the tensors.
  public init(params: JSONValue, tensors: [Tensor], ropeFactor: Double? = nil) throws(InputError) {
    do {
      try self.init(reading: params, tensors, ropeFactor)
    } catch { throw error.adding(remedy: "use the params.json that was published with these shards") }
  }

  private init(reading root: JSONValue, _ tensors: [Tensor], _ ropeFactor: Double?) throws(InputError) {
    guard root.kind == .object else { throw root.mismatch("an object", nil) }
    let params = root.optional("model") ?? root
    guard params.kind == .object else { throw params.mismatch("an object", "model") }
    try MetaParameters.refuseOthers(params)
    func tensor(_ name: String) -> Tensor? { tensors.first { $0.name == name } }

    let hiddenSize = try params.size("dim", in: LlamaParameters.sizeLimit)
    let headCount = try params.size("n_heads", in: LlamaParameters.headLimit)
    guard hiddenSize % headCount == 0 else {
      throw InputError(
        .shape, "\(headCount) heads do not divide a width of \(hiddenSize)", file: params.file, subject: "n_heads",
        offset: params["n_heads"]?.offset, remedy: "correct dim or n_heads")
    }
    let theta = try params.optional("rope_theta")?.double("rope_theta")
    var parameters = LlamaParameters(
      layerCount: try params.size("n_layers", in: LlamaParameters.layerLimit), contextLength: 2048,
      hiddenSize: hiddenSize, feedForwardSize: try params.feedForwardSize(of: hiddenSize), headCount: headCount,
      keyValueHeadCount: try params.optionalSize("n_kv_heads", in: LlamaParameters.headLimit) ?? headCount,
      headSize: hiddenSize / headCount,
      vocabularySize: try params.vocabularySize(ofRows: tensor("tok_embeddings.weight")?.rows),
      normEpsilon: try params.optional("norm_eps")?.double("norm_eps") ?? 1e-5,
      ropeTheta: theta ?? 0, ropeScaling: .none,
      tiesOutput: tensor("output.weight") == nil, hasAttentionBias: false, hasFeedForwardBias: false)
    let isScaled = try params.optional("use_scaled_rope")?.bool("use_scaled_rope")
    let release = MetaRelease(
      parameters, scalesRope: isScaled,
      hasKeysOfLlama2: params.optional("n_kv_heads") != nil || params.optional("ffn_dim_multiplier") != nil)
    if theta == nil { parameters.ropeTheta = release.ropeTheta }
    (self.parameters, notes) = try MetaParameters.completed(
      parameters, release, isScaled == true, ropeFactor, file: params.file)
    (self.release, file) = (release, params.file)

    if let found = tensor("layers.0.feed_forward.w1.weight")?.rows, found != parameters.feedForwardSize {
      throw InputError(
        .shape,
        "multiple_of and ffn_dim_multiplier make a feed-forward width of \(parameters.feedForwardSize), the tensors have "
          + "\(found)", file: params.file, subject: "ffn_dim_multiplier", offset: params["ffn_dim_multiplier"]?.offset,
        remedy: "use the params.json that was published with these shards")
    }
  }

  /// With what the release has where the file is silent.
  private static func completed(
    _ parameters: LlamaParameters, _ release: MetaRelease, _ isScaled: Bool, _ ropeFactor: Double?, file: String?
  ) throws(InputError) -> (LlamaParameters, [String]) {
    var parameters = parameters
    var notes: [String] = []
    parameters.contextLength = release.contextLength
    notes.append(
      "params.json states no context length; \(release.contextLength) is that of \(release.rawValue), "
        + "--override-kv llama.context_length=int:N sets another")
    if isScaled {
      let factor = ropeFactor ?? release.ropeFactor
      guard factor >= 1, factor <= 1e6 else {
        throw InputError(.limit, "a rope factor from 1 to 1e6 expected, found \(factor)", file: file)
      }
      parameters.ropeScaling = .llama3(factor: factor, lowFrequency: 1, highFrequency: 4, originalContext: 8192)
      if ropeFactor == nil {
        notes.append(
          "params.json states no rope factor; \(Int(factor)) is that of \(release.rawValue), told by the shape, "
            + "--rope-factor sets another")
      }
    }
    return (try parameters.validated(keys: ("dim", "n_heads", "n_kv_heads", "dim"), file: file), notes)
  }

  /// Keys of models that Meta or others publish in this form and that are no plain Llama.
  private static let others: [(keys: [String], what: String, remedy: String)] = [
    (["quantization_args"], "quantized weights", "use the model in BF16"),
    (["lora_args"], "the adapters of a quantized model", "use the model in BF16"),
    (
      [
        "vision_chunk_size", "vision_max_num_chunks", "vision_num_cross_attention_layers", "vision_model",
        "vision_args",
      ],
      "a vision model", "use a text model"
    ),
    (["moe_args", "moe", "num_experts", "nope_layer_interval"], "a mixture of experts", "use a dense Llama"),
    (
      ["hidden_dim", "head_dim", "sliding_window"], "a model in Mistral's form", "use the model's Hugging Face form"
    ),
  ]

  private static func refuseOthers(_ params: JSONValue) throws(InputError) {
    for (keys, what, remedy) in others {
      for key in keys {
        // Meta's programs write -1 where there is no vision.
        guard let value = params.optional(key), (try? value.int()) != -1 else { continue }
        throw InputError(
          .unsupported, "\(what) in Meta's form cannot be read", file: params.file, subject: key, offset: value.offset,
          remedy: remedy)
      }
    }
  }
}

/// Which of Meta's models a `params.json` belongs to, as far as anything depends on it.
public enum MetaRelease: String, Sendable, CaseIterable {
  case one = "Llama 1"
  case two = "Llama 2"
  case code = "Code Llama"
  case three = "Llama 3"
  case threeOne = "Llama 3.1"
  case threeTwo = "Llama 3.2"

  /// Nothing in the file says it; what differs between the releases does.
  init(_ parameters: LlamaParameters, scalesRope: Bool?, hasKeysOfLlama2: Bool) {
    if scalesRope == true {
      // The 1B and the 3B. Their factor differs from that of the 8B, 70B and 405B, whose key is the same.
      let isThreeTwo = [[2048, 16], [3072, 28]].contains([parameters.hiddenSize, parameters.layerCount])
      self = isThreeTwo ? .threeTwo : .threeOne
    } else if scalesRope != nil || parameters.ropeTheta == 500_000 || parameters.vocabularySize >= 128_000 {
      self = .three
    } else if parameters.ropeTheta == 1_000_000 {
      self = .code
    } else {
      self = parameters.normEpsilon == 1e-6 && !hasKeysOfLlama2 ? .one : .two
    }
  }

  var contextLength: Int {
    switch self {
    case .one: 2048
    case .two: 4096
    case .code: 16384
    case .three: 8192
    case .threeOne, .threeTwo: 131_072
    }
  }

  var ropeTheta: Double { [.one, .two].contains(self) ? 10_000 : self == .code ? 1_000_000 : 500_000 }

  /// Meta's code has 8 for all (llama-models, llama3/model.py), but the 3.2 models were made and published with 32
  /// (transformers, convert_llama_weights_to_hf.py).
  var ropeFactor: Double { self == .threeTwo ? 32 : 8 }

  /// Whether the output matrix may be a copy of the token embedding.
  public var mayTieOutput: Bool { self == .threeTwo }
}

extension JSONValue {
  /// `multiple_of · ⌈⌊ffn_dim_multiplier · ⌊8·dim/3⌋⌋ / multiple_of⌉`, as Meta's code computes it.
  fileprivate func feedForwardSize(of hiddenSize: Int) throws(InputError) -> Int {
    let multiple = try optionalSize("multiple_of", in: LlamaParameters.sizeLimit) ?? 256
    let field = optional("ffn_dim_multiplier")
    let factor = try field?.double("ffn_dim_multiplier") ?? 1
    guard factor > 0, factor <= 64 else {
      throw InputError(
        .limit, "a number above 0 and up to 64 expected, found \(factor)", file: file, subject: "ffn_dim_multiplier",
        offset: field?.offset, remedy: "Llama 3 8B has 1.3")
    }
    let width = Int(factor * Double(8 * hiddenSize / 3))
    let size = (width + multiple - 1) / multiple * multiple
    guard LlamaParameters.sizeLimit.contains(size) else {
      throw InputError(
        .limit, "a feed-forward width of \(size), up to \(LlamaParameters.sizeLimit.upperBound) is read", file: file,
        subject: "ffn_dim_multiplier", offset: field?.offset, remedy: "correct dim, multiple_of or ffn_dim_multiplier")
    }
    return size
  }

  /// Llama 1 and 2 write -1 and leave it to the tokenizer; the embedding has as many rows.
  fileprivate func vocabularySize(ofRows rows: Int?) throws(InputError) -> Int {
    if let value = optional("vocab_size"), try value.int("vocab_size") != -1 {
      return try size("vocab_size", in: LlamaParameters.sizeLimit)
    }
    guard let rows, LlamaParameters.sizeLimit.contains(rows) else {
      throw InputError(
        .missing, "the tensor is missing, and params.json states no size of the vocabulary", file: file,
        subject: "tok_embeddings.weight", remedy: "download the shards again")
    }
    return rows
  }
}

public import Bytes

extension LlamaParameters {
  /// From the `config.json` of a Hugging Face checkpoint.
  ///
  /// Both spellings are read: `rope_theta` with `rope_scaling` (transformers 4), which wins where both stand, and
  /// `rope_parameters` (5). What is absent has the family's default in transformers: for a Llama as many key-value heads as
  /// heads, theta 10000, epsilon 1e-6, context 2048; for all `hidden_size / heads` as `head_dim`, untied output, no biases.
  ///
  /// - Throws: `UNSUPPORTED` for another family, activation, rope type or quantized weights; `MISSING`, `TYPE`, `LIMIT`,
  ///   `SHAPE` naming the key.
  public init(config: JSONValue) throws(InputError) {
    let family = try LlamaFamily(config: config)
    try LlamaParameters.refuseOthers(config, family)
    layerCount = try config.size("num_hidden_layers", in: LlamaParameters.layerLimit)
    hiddenSize = try config.size("hidden_size", in: LlamaParameters.sizeLimit)
    feedForwardSize = try config.size("intermediate_size", in: LlamaParameters.sizeLimit)
    headCount = try config.size("num_attention_heads", in: LlamaParameters.headLimit)
    keyValueHeadCount =
      try config.optionalSize("num_key_value_heads", in: LlamaParameters.headLimit)
      ?? (config["num_key_value_heads"] == nil ? family.defaultKeyValueHeads : nil) ?? headCount
    vocabularySize = try config.size("vocab_size", in: LlamaParameters.sizeLimit)
    contextLength =
      try config.optionalSize("max_position_embeddings", in: LlamaParameters.contextLimit) ?? family.defaultContext
    normEpsilon = try config.optional("rms_norm_eps")?.double("rms_norm_eps") ?? family.defaultEpsilon
    tiesOutput = try config.optional("tie_word_embeddings")?.bool("tie_word_embeddings") ?? false
    // Mistral's classes have no biases, whatever a configuration says.
    let biased = family == .llama ? config : nil
    hasAttentionBias = try biased?.optional("attention_bias")?.bool("attention_bias") ?? false
    hasFeedForwardBias = try biased?.optional("mlp_bias")?.bool("mlp_bias") ?? false

    if let size = try config.optionalSize("head_dim", in: LlamaParameters.sizeLimit) {
      headSize = size
    } else {
      guard hiddenSize % headCount == 0 else {
        throw InputError(
          .shape, "\(headCount) heads do not divide a hidden size of \(hiddenSize)", file: config.file,
          subject: "num_attention_heads", remedy: "give head_dim, or correct hidden_size or num_attention_heads")
      }
      headSize = hiddenSize / headCount
      statesHeadSize = family.statesHeadSize
    }
    if family == .mixtral {
      let key = config["num_local_experts"] == nil ? "num_experts" : "num_local_experts"
      expertCount = try config.optionalSize(key, in: LlamaParameters.expertLimit) ?? 8
      usedExpertCount = try config.optionalSize("num_experts_per_tok", in: LlamaParameters.expertLimit) ?? 2
    }
    if family != .llama {
      slidingWindow =
        config["sliding_window"] == nil
        ? family.defaultSlidingWindow : try config.optionalSize("sliding_window", in: LlamaParameters.contextLimit)
    }

    let rope = config.optional("rope_scaling") ?? config.optional("rope_parameters")
    let theta = rope?.optional("rope_theta") ?? config.optional("rope_theta")
    ropeTheta = try theta?.double("rope_theta") ?? family.defaultTheta
    ropeScaling = try RopeScaling(config: rope, of: config, context: contextLength)
    self = try validated(
      keys: ("hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim"), file: config.file)
  }

  private static func refuseOthers(_ config: JSONValue, _ family: LlamaFamily) throws(InputError) {
    func refuse(_ key: String, _ problem: String, _ remedy: String) -> InputError {
      InputError(
        .unsupported, problem, file: config.file, subject: key, offset: config[key]?.offset, remedy: remedy)
    }
    if let activation = try config.optional("hidden_act")?.string("hidden_act"), activation != "silu" {
      throw refuse("hidden_act", "the activation \"\(activation)\" is not known", "a Llama has silu")
    }
    if family != .mixtral {
      for key in ["num_local_experts", "num_experts"] where config.optional(key) != nil {
        throw refuse(key, "a mixture of experts that is no Mixtral is not supported", "use a dense model or a Mixtral")
      }
    }
    if config.optional("quantization_config") != nil {
      throw refuse(
        "quantization_config", "the weights are already quantized", "use the original checkpoint in BF16, F16 or F32")
    }
    for parent in [config, config.optional("rope_parameters"), config.optional("rope_scaling")] {
      let key = "partial_rotary_factor"
      if let part = try parent?.optional(key)?.double(key), part != 1 {
        throw refuse(key, "heads rotated in part (\(part)) are not supported", "a Llama has 1")
      }
    }
  }
}

extension RopeScaling {
  /// - Parameters:
  ///   - rope: the object `rope_scaling` or `rope_parameters`, when there is one.
  ///   - context: `max_position_embeddings`, which is the original context where none is stated.
  init(config rope: JSONValue?, of config: JSONValue, context: Int) throws(InputError) {
    guard let rope, let type = rope.optional("rope_type") ?? rope.optional("type") else {
      if let rope, rope.kind != .object { throw rope.mismatch("an object", "rope_scaling") }
      self = .none
      return
    }
    func optional(_ key: String, above limit: Double = 0) throws(InputError) -> Double? {
      guard let field = rope.optional(key) else { return nil }
      let value = try field.double(key)
      guard value > limit, value <= 1e6 else {
        throw InputError(
          .limit, "a number above \(limit) and up to 1e6 expected, found \(value)", file: rope.file, subject: key,
          offset: field.offset)
      }
      return value
    }
    func number(_ key: String) throws(InputError) -> Double {
      guard let value = try optional(key) else {
        throw InputError(.missing, "the field is missing", file: rope.file, subject: key, offset: rope.offset)
      }
      return value
    }
    func originalContext() throws(InputError) -> Int {
      let key = "original_max_position_embeddings"
      return try (config.optional(key) ?? rope.optional(key))?.int(in: LlamaParameters.contextLimit, key) ?? context
    }
    switch try type.string("rope_type") {
    case "default": self = .none
    case "linear": self = .linear(factor: try number("factor"))
    case "llama3":
      let (low, high) = (try number("low_freq_factor"), try number("high_freq_factor"))
      guard high > low else {
        throw InputError(
          .limit, "high_freq_factor \(high) is not above low_freq_factor \(low)", file: rope.file,
          subject: "high_freq_factor", offset: rope.offset, remedy: "Llama 3.1 has 1 and 4")
      }
      self = .llama3(
        factor: try number("factor"), lowFrequency: low, highFrequency: high, originalContext: try originalContext())
    case "yarn":
      for key in ["mscale", "mscale_all_dim", "truncate", "extrapolation_factor"] {
        guard let field = rope.optional(key) else { continue }
        let neutral: Double? = key == "extrapolation_factor" ? 1 : nil
        guard try field.kind == .bool ? field.bool(key) : field.double(key) == neutral else {
          throw InputError(
            .unsupported, "this part of YaRN is not supported", file: rope.file, subject: key, offset: field.offset,
            remedy: "no Llama or Mistral has it; leave it out if the model was trained without")
        }
      }
      let attention = rope.optional("attention_factor") == nil ? "attn_factor" : "attention_factor"
      self = .yarn(
        YaRN(
          factor: try number("factor"), originalContext: try originalContext(),
          attentionFactor: try optional(attention),
          fastRotations: try optional("beta_fast"), slowRotations: try optional("beta_slow")))
    case let other:
      throw InputError(
        .unsupported, "the rope type \"\(other)\" is not supported", file: rope.file, subject: "rope_type",
        offset: type.offset, remedy: "supported: default, linear, llama3, yarn")
    }
  }
}

extension JSONValue {
  /// A size that must be there: zero is a shape that no model has, anything else outside `range` a limit.
  func size(_ key: String, in range: ClosedRange<Int>) throws(InputError) -> Int {
    try required(key).checkedSize(key, in: range)
  }

  func optionalSize(_ key: String, in range: ClosedRange<Int>) throws(InputError) -> Int? {
    guard let value = optional(key) else { return nil }
    return try value.checkedSize(key, in: range)
  }

  private func checkedSize(_ key: String, in range: ClosedRange<Int>) throws(InputError) -> Int {
    let remedy = "correct \(key): from \(range.lowerBound) to \(range.upperBound)"
    do throws(InputError) {
      guard try int(key) != 0 else {
        throw InputError(.shape, "a size of zero", file: file, subject: key, offset: offset)
      }
      return try int(in: range, key)
    } catch { throw error.adding(remedy: remedy) }
  }
}

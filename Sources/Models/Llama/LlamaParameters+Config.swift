public import Bytes

extension LlamaParameters {
  /// From the `config.json` of a Hugging Face checkpoint.
  ///
  /// Both spellings are read: `rope_theta` with `rope_scaling` (transformers 4) and `rope_parameters` (5), which wins where
  /// both stand. What is absent has transformers' default: as many key-value heads as heads, `hidden_size / heads` as
  /// `head_dim`, theta 10000, epsilon 1e-6, context 2048, untied output, no biases.
  ///
  /// - Throws: `UNSUPPORTED` for another architecture, activation, rope type, experts or quantized weights; `MISSING`,
  ///   `TYPE`, `LIMIT`, `SHAPE` naming the key.
  public init(config: JSONValue) throws(InputError) {
    try LlamaParameters.refuseOthers(config)
    layerCount = try config.size("num_hidden_layers", in: LlamaParameters.layerLimit)
    hiddenSize = try config.size("hidden_size", in: LlamaParameters.sizeLimit)
    feedForwardSize = try config.size("intermediate_size", in: LlamaParameters.sizeLimit)
    headCount = try config.size("num_attention_heads", in: LlamaParameters.headLimit)
    keyValueHeadCount =
      try config.optionalSize("num_key_value_heads", in: LlamaParameters.headLimit) ?? headCount
    vocabularySize = try config.size("vocab_size", in: LlamaParameters.sizeLimit)
    contextLength =
      try config.optionalSize("max_position_embeddings", in: LlamaParameters.contextLimit) ?? 2048
    normEpsilon = try config.optional("rms_norm_eps")?.double("rms_norm_eps") ?? 1e-6
    tiesOutput = try config.optional("tie_word_embeddings")?.bool("tie_word_embeddings") ?? false
    hasAttentionBias = try config.optional("attention_bias")?.bool("attention_bias") ?? false
    hasFeedForwardBias = try config.optional("mlp_bias")?.bool("mlp_bias") ?? false

    if let size = try config.optionalSize("head_dim", in: LlamaParameters.sizeLimit) {
      headSize = size
    } else {
      guard hiddenSize % headCount == 0 else {
        throw InputError(
          .shape, "\(headCount) heads do not divide a hidden size of \(hiddenSize)", file: config.file,
          subject: "num_attention_heads", remedy: "give head_dim, or correct hidden_size or num_attention_heads")
      }
      headSize = hiddenSize / headCount
    }

    let rope = config.optional("rope_parameters") ?? config.optional("rope_scaling")
    let theta = rope?.optional("rope_theta") ?? config.optional("rope_theta")
    ropeTheta = try theta?.double("rope_theta") ?? 10000
    ropeScaling = try RopeScaling(config: rope, of: config)
    self = try validated(
      keys: ("hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim"), file: config.file)
  }

  private static func refuseOthers(_ config: JSONValue) throws(InputError) {
    func refuse(_ key: String, _ problem: String, _ remedy: String) -> InputError {
      InputError(
        .unsupported, problem, file: config.file, subject: key, offset: config[key]?.offset, remedy: remedy)
    }
    if let classes = try config.optional("architectures")?.elements("architectures") {
      for name in classes where try name.string("architectures") != "LlamaForCausalLM" {
        throw refuse(
          "architectures", "the architecture \"\(try name.string())\" is not known", "supported: LlamaForCausalLM")
      }
    }
    let family = try config.required("model_type").string("model_type")
    guard family == "llama" else {
      throw refuse("model_type", "the architecture \"\(family)\" is not known", "supported: llama")
    }
    if let activation = try config.optional("hidden_act")?.string("hidden_act"), activation != "silu" {
      throw refuse("hidden_act", "the activation \"\(activation)\" is not known", "a Llama has silu")
    }
    if config.optional("num_local_experts") != nil {
      throw refuse("num_local_experts", "mixtures of experts are not supported", "use a dense Llama")
    }
    if config.optional("quantization_config") != nil {
      throw refuse(
        "quantization_config", "the weights are already quantized", "use the original checkpoint in BF16, F16 or F32")
    }
    if let part = try config.optional("partial_rotary_factor")?.double("partial_rotary_factor"), part != 1 {
      throw refuse("partial_rotary_factor", "heads rotated in part (\(part)) are not supported", "a Llama has 1")
    }
  }
}

extension RopeScaling {
  /// - Parameter rope: the object `rope_parameters` or `rope_scaling`, when there is one.
  init(config rope: JSONValue?, of config: JSONValue) throws(InputError) {
    guard let rope, let type = rope.optional("rope_type") ?? rope.optional("type") else {
      if let rope, rope.kind != .object { throw rope.mismatch("an object", "rope_scaling") }
      self = .none
      return
    }
    func number(_ key: String, above limit: Double = 0) throws(InputError) -> Double {
      let field = try rope.required(key)
      let value = try field.double(key)
      guard value > limit, value <= 1e6 else {
        throw InputError(
          .limit, "a number above \(limit) and up to 1e6 expected, found \(value)", file: rope.file, subject: key,
          offset: field.offset)
      }
      return value
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
      let key = "original_max_position_embeddings"
      guard let context = rope.optional(key) ?? config.optional(key) else {
        throw InputError(.missing, "the field is missing", file: rope.file, subject: key, offset: rope.offset)
      }
      let original = try context.int(in: LlamaParameters.contextLimit, key)
      self = .llama3(
        factor: try number("factor"), lowFrequency: low, highFrequency: high, originalContext: original)
    case let other:
      throw InputError(
        .unsupported, "the rope type \"\(other)\" is not supported", file: rope.file, subject: "rope_type",
        offset: type.offset, remedy: "supported: default, linear, llama3")
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

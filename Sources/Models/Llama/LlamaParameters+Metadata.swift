public import Bytes
public import Tensors

extension LlamaParameters {
  /// From the `llama.*` keys of a GGUF file.
  ///
  /// - Parameters:
  ///   - vocabularySize: rows of `token_embd.weight`, for files without `llama.vocab_size`.
  ///   - tiesOutput: whether the file lacks `output.weight`.
  ///   - file: its name, for messages.
  /// - Throws: `UNSUPPORTED` for another architecture, experts or an unknown rope scaling; `MISSING`, `TYPE`, `LIMIT`,
  ///   `SHAPE` naming the key.
  public init(
    metadata: Metadata, vocabularySize: Int? = nil, tiesOutput: Bool = false, hasAttentionBias: Bool = false,
    hasFeedForwardBias: Bool = false, file: String? = nil
  ) throws(InputError) {
    let keys = MetadataKeys(metadata, file: file)
    guard let architecture = metadata["general.architecture"]?.string else {
      throw InputError(.missing, "the field is missing or no string", file: file, subject: "general.architecture")
    }
    guard architecture == "llama" else {
      throw ForeignFamily.refusal(architecture: architecture, file: file)
    }
    if let experts = try keys.integer("llama.expert_count"), experts != 0 {
      expertCount = try keys.size("llama.expert_count", in: LlamaParameters.expertLimit)
      usedExpertCount = try keys.size("llama.expert_used_count", in: LlamaParameters.expertLimit)
    }
    if let window = try keys.integer("llama.attention.sliding_window"), window != 0 {
      slidingWindow = try keys.size("llama.attention.sliding_window", in: LlamaParameters.contextLimit)
    }
    statesHeadSize = metadata["llama.attention.key_length"] != nil
    layerCount = try keys.size("llama.block_count", in: LlamaParameters.layerLimit)
    contextLength = try keys.size("llama.context_length", in: LlamaParameters.contextLimit)
    hiddenSize = try keys.size("llama.embedding_length", in: LlamaParameters.sizeLimit)
    feedForwardSize = try keys.size("llama.feed_forward_length", in: LlamaParameters.sizeLimit)
    headCount = try keys.size("llama.attention.head_count", in: LlamaParameters.headLimit)
    keyValueHeadCount =
      try keys.size("llama.attention.head_count_kv", in: LlamaParameters.headLimit, default: headCount)
    self.vocabularySize = try keys.size(
      "llama.vocab_size", in: LlamaParameters.sizeLimit,
      default: vocabularySize ?? metadata["tokenizer.ggml.tokens"]?.strings?.count)
    let width = hiddenSize / headCount
    guard hiddenSize % headCount == 0 || metadata["llama.attention.key_length"] != nil else {
      throw InputError(
        .shape, "\(headCount) heads do not divide an embedding length of \(hiddenSize)", file: file,
        subject: "llama.attention.head_count")
    }
    headSize = try keys.size("llama.attention.key_length", in: LlamaParameters.sizeLimit, default: width)
    for key in ["llama.attention.value_length", "llama.rope.dimension_count"] {
      let other = try keys.size(key, in: LlamaParameters.sizeLimit, default: headSize)
      guard other == headSize else {
        throw InputError(
          .shape, "\(other), but heads are \(headSize) wide", file: file, subject: key,
          remedy: "a Llama's keys, values and rotation have one width")
      }
    }
    normEpsilon = try keys.number("llama.attention.layer_norm_rms_epsilon")
    ropeTheta = try keys.number("llama.rope.freq_base", default: 10000)
    ropeScaling = try RopeScaling(keys)
    (self.tiesOutput, self.hasAttentionBias, self.hasFeedForwardBias) = (
      tiesOutput, hasAttentionBias, hasFeedForwardBias
    )
    self = try validated(
      keys: (
        "llama.embedding_length", "llama.attention.head_count", "llama.attention.head_count_kv",
        "llama.attention.key_length"
      ), usedExperts: "llama.expert_used_count", file: file)
  }

  /// The `llama.*` keys with `general.file_type` among them, in the order and types of convert_hf_to_gguf.py (llama.cpp
  /// 0c1e57098, `TextModel.set_gguf_parameters` and `LlamaModel.set_gguf_parameters`).
  func keys(fileType: UInt32) -> Metadata {
    var metadata = Metadata()
    metadata["llama.block_count"] = .uint32(UInt32(layerCount))
    metadata["llama.context_length"] = .uint32(UInt32(contextLength))
    metadata["llama.embedding_length"] = .uint32(UInt32(hiddenSize))
    metadata["llama.feed_forward_length"] = .uint32(UInt32(feedForwardSize))
    metadata["llama.attention.head_count"] = .uint32(UInt32(headCount))
    metadata["llama.attention.head_count_kv"] = .uint32(UInt32(keyValueHeadCount))
    ropeScaling.write(into: &metadata)
    metadata["llama.rope.freq_base"] = .float32(Float(ropeTheta))
    metadata["llama.attention.layer_norm_rms_epsilon"] = .float32(Float(normEpsilon))
    if expertCount > 0 {
      metadata["llama.expert_count"] = .uint32(UInt32(expertCount))
      metadata["llama.expert_used_count"] = .uint32(UInt32(usedExpertCount))
    }
    if statesHeadSize {
      metadata["llama.attention.key_length"] = .uint32(UInt32(headSize))
      metadata["llama.attention.value_length"] = .uint32(UInt32(headSize))
    }
    // The converter forgets it and llama.cpp does not ask: beyond the window it attends to what the model never saw.
    if let slidingWindow { metadata["llama.attention.sliding_window"] = .uint32(UInt32(slidingWindow)) }
    metadata["general.file_type"] = .uint32(fileType)
    metadata["llama.vocab_size"] = .uint32(UInt32(vocabularySize))
    metadata["llama.rope.dimension_count"] = .uint32(UInt32(headSize))
    return metadata
  }
}

extension LlamaParameters {
  /// The `llama.*` keys in which a model that says this is not the one that says `reference`, whatever form either was
  /// read from; `nil` where the key is not stated.
  public func differences(
    from reference: LlamaParameters
  ) -> [(key: String, reference: MetadataValue?, candidate: MetadataValue?)] {
    func stated(_ parameters: LlamaParameters) -> Metadata {
      var parameters = parameters
      parameters.statesHeadSize = true
      return parameters.keys(fileType: 0)
    }
    let (ours, theirs) = (stated(self), stated(reference))
    let keys = theirs.keys + ours.keys.filter { theirs[$0] == nil }
    return keys.compactMap { key in ours[key] == theirs[key] ? nil : (key, theirs[key], ours[key]) }
  }
}

extension RopeScaling {
  /// `llama.rope.scaling.*`; without a type a factor is linear, as llama.cpp has it.
  fileprivate init(_ keys: MetadataKeys) throws(InputError) {
    func optional(_ name: String) throws(InputError) -> Double? {
      let key = "llama.rope.scaling." + name
      guard keys.metadata[key] != nil else { return nil }
      let value = try keys.number(key)
      guard value > 0, value <= 1e6 else {
        throw InputError(
          .limit, "a number above 0 and up to 1e6 expected, found \(value)", file: keys.file, subject: key)
      }
      return value
    }
    func factor() throws(InputError) -> Double {
      guard let factor = try optional("factor") else {
        throw InputError(.missing, "the field is missing", file: keys.file, subject: "llama.rope.scaling.factor")
      }
      return factor
    }
    let type = keys.metadata["llama.rope.scaling.type"]
    switch type?.string ?? (type == nil ? "" : "?") {
    case "": self = try optional("factor").map { .linear(factor: $0) } ?? .none
    case "none": self = .none
    case "linear": self = .linear(factor: try factor())
    case "yarn":
      let context = try keys.integer("llama.context_length")
      self = .yarn(
        YaRN(
          factor: try factor(),
          originalContext: try keys.size(
            "llama.rope.scaling.original_context_length", in: LlamaParameters.contextLimit, default: context),
          attentionFactor: try optional("yarn_attn_factor"), fastRotations: try optional("yarn_beta_fast"),
          slowRotations: try optional("yarn_beta_slow")))
    case let other:
      throw InputError(
        .unsupported, "the rope scaling \"\(other)\" is not supported", file: keys.file,
        subject: "llama.rope.scaling.type", remedy: "supported: none, linear, yarn, and rope_freqs.weight")
    }
  }

  /// The keys that convert_hf_to_gguf.py writes for it; none for `llama3`, which is a tensor.
  fileprivate func write(into metadata: inout Metadata) {
    func set(_ name: String, _ value: Double?) {
      metadata["llama.rope.scaling." + name] = value.map { .float32(Float($0)) }
    }
    switch self {
    case .none, .llama3: return
    case .linear(let factor):
      metadata["llama.rope.scaling.type"] = .string("linear")
      set("factor", factor)
    case .yarn(let yarn):
      metadata["llama.rope.scaling.type"] = .string("yarn")
      set("factor", yarn.factor)
      metadata["llama.rope.scaling.original_context_length"] = .uint32(UInt32(yarn.originalContext))
      set("yarn_attn_factor", yarn.attentionFactor)
      set("yarn_beta_fast", yarn.fastRotations)
      set("yarn_beta_slow", yarn.slowRotations)
    }
  }
}

/// Typed reading of metadata with errors that name the key.
struct MetadataKeys {
  let metadata: Metadata
  let file: String?

  init(_ metadata: Metadata, file: String?) { (self.metadata, self.file) = (metadata, file) }

  func integer(_ key: String) throws(InputError) -> Int? {
    guard let value = metadata[key] else { return nil }
    guard let integer = value.integer else {
      throw InputError(.type, "a whole number expected", file: file, subject: key)
    }
    return integer
  }

  func size(_ key: String, in range: ClosedRange<Int>, default: Int? = nil) throws(InputError) -> Int {
    guard let value = try integer(key) ?? `default` else {
      throw InputError(.missing, "the field is missing", file: file, subject: key)
    }
    guard value != 0 else { throw InputError(.shape, "a size of zero", file: file, subject: key) }
    guard range.contains(value) else {
      throw InputError(
        .limit, "a number from \(range.lowerBound) to \(range.upperBound) expected, found \(value)", file: file,
        subject: key)
    }
    return value
  }

  func number(_ key: String, default: Double? = nil) throws(InputError) -> Double {
    guard let value = metadata[key] else {
      if let `default` { return `default` }
      throw InputError(.missing, "the field is missing", file: file, subject: key)
    }
    guard let number = value.double, number.isFinite else {
      throw InputError(.type, "a finite number expected", file: file, subject: key)
    }
    return number
  }
}

import Bytes
import Models
import Tensors
import Testing

/// Which families are read, what they fill in, and how the others are refused.
@Suite struct FamilyTests {
  static func config(_ family: String, _ more: String = "") throws -> JSONValue {
    let sizes =
      #","hidden_size":256,"intermediate_size":2048,"num_hidden_layers":6,"num_attention_heads":16,"vocab_size":4096"#
    let text = #"{"model_type":"\#(family)"\#(sizes)\#(more.isEmpty ? "" : "," + more)}"#
    return try JSONDocument(parsing: Array(text.utf8), file: "config.json").root
  }

  static func metadata(_ parameters: LlamaParameters) throws -> Metadata {
    try parameters.metadata(folder: "x", config: nil, generation: nil, parameterCount: 0, fileType: 1)
  }

  /// transformers 5.23's defaults, which convert_hf_to_gguf.py writes.
  @Test func absentFieldsHaveTheDefaultsOfTheirFamily() throws {
    let llama = try LlamaParameters(config: Self.config("llama"))
    #expect((llama.keyValueHeadCount, llama.contextLength, llama.normEpsilon) == (16, 2048, 1e-6))
    #expect((llama.ropeTheta, llama.slidingWindow, llama.expertCount) == (10000, nil, 0))
    let mistral = try LlamaParameters(config: Self.config("mistral"))
    #expect((mistral.keyValueHeadCount, mistral.contextLength, mistral.normEpsilon) == (8, 131072, 1e-6))
    #expect((mistral.ropeTheta, mistral.slidingWindow, mistral.expertCount) == (10000, 4096, 0))
    let mixtral = try LlamaParameters(config: Self.config("mixtral"))
    #expect((mixtral.keyValueHeadCount, mixtral.contextLength, mixtral.normEpsilon) == (8, 131072, 1e-5))
    #expect((mixtral.ropeTheta, mixtral.slidingWindow) == (1_000_000, nil))
    #expect((mixtral.expertCount, mixtral.usedExpertCount) == (8, 2))
  }

  @Test func aNullIsNotTheDefault() throws {
    let mistral = try LlamaParameters(
      config: Self.config("mistral", #""sliding_window":null,"num_key_value_heads":null"#))
    #expect(mistral.slidingWindow == nil)
    #expect(mistral.keyValueHeadCount == 16)
  }

  @Test(arguments: [
    ("llama", "LlamaForCausalLM"), ("llama", "LLaMAForCausalLM"), ("mistral", "MistralForCausalLM"),
    ("mixtral", "MixtralForCausalLM"),
  ])
  func everyClassOfAFamilyIsRead(_ family: String, _ name: String) throws {
    _ = try LlamaParameters(config: Self.config(family, #""architectures":["\#(name)"]"#))
  }

  @Test func aWindowIsRecordedAndReadBack() throws {
    let stated = try LlamaParameters(config: Self.config("mistral", #""sliding_window":4096"#))
    let metadata = try Self.metadata(stated)
    #expect(metadata["llama.attention.sliding_window"] == .uint32(4096))
    #expect(try LlamaParameters(metadata: metadata).slidingWindow == 4096)
    let none = try Self.metadata(LlamaParameters(config: Self.config("mistral", #""sliding_window":null"#)))
    #expect(none["llama.attention.sliding_window"] == nil)
    #expect(try LlamaParameters(metadata: none).slidingWindow == nil)
  }

  @Test func expertsAreStatedAndReadBack() throws {
    let mixtral = try LlamaParameters(config: Self.config("mixtral", #""num_local_experts":4,"num_experts_per_tok":3"#))
    let metadata = try Self.metadata(mixtral)
    #expect(metadata["llama.expert_count"] == .uint32(4))
    #expect(metadata["llama.expert_used_count"] == .uint32(3))
    // transformers leaves a Mixtral's head_dim empty, and the converter then writes no lengths.
    #expect(metadata["llama.attention.key_length"] == nil)
    #expect(metadata["llama.rope.dimension_count"] == .uint32(16))
    var back = try LlamaParameters(metadata: metadata)
    back.normEpsilon = mixtral.normEpsilon
    #expect(back == mixtral)
    let stated = try LlamaParameters(config: Self.config("mixtral", #""head_dim":32"#))
    #expect(try Self.metadata(stated)["llama.attention.key_length"] == .uint32(32))
  }

  @Test func theSizeOfAMixtralIsThatOfOneExpertTimesTheirNumber() throws {
    let mixtral = try LlamaParameters(config: Self.config("mixtral"))
    let experts = 3 * 2048 * 256 * 6
    let metadata = try mixtral.metadata(
      folder: "x", config: nil, generation: nil, parameterCount: 2_000_000 + 8 * experts, fileType: 1)
    #expect(metadata["general.size_label"] == .string("8x11M"))
  }

  @Test func yarnIsReadWrittenAndReadBack() throws {
    let scaling =
      #""rope_scaling":{"type":"yarn","factor":4,"original_max_position_embeddings":512,"attention_factor":1.5,"#
      + #""beta_fast":16}"#
    let parameters = try LlamaParameters(config: Self.config("llama", scaling))
    let yarn = YaRN(factor: 4, originalContext: 512, attentionFactor: 1.5, fastRotations: 16, slowRotations: nil)
    #expect(parameters.ropeScaling == .yarn(yarn))
    let metadata = try Self.metadata(parameters)
    let keys = metadata.keys.filter { $0.contains("rope.scaling") }
    #expect(
      keys
        == ["type", "factor", "original_context_length", "yarn_attn_factor", "yarn_beta_fast"].map {
          "llama.rope.scaling." + $0
        })
    #expect(try LlamaParameters(metadata: metadata).ropeScaling == .yarn(yarn))
  }

  /// transformers takes `max_position_embeddings` for a missing original context, and one beside `rope_scaling` first.
  @Test func theOriginalContextIsFoundWhereTransformersFindsIt() throws {
    func context(_ more: String) throws -> Int? {
      guard case .yarn(let yarn) = try LlamaParameters(config: Self.config("llama", more)).ropeScaling else {
        return nil
      }
      return yarn.originalContext
    }
    let yarn = #""rope_scaling":{"type":"yarn","factor":4"#
    #expect(try context(yarn + #"},"max_position_embeddings":777"#) == 777)
    #expect(try context(yarn + #","original_max_position_embeddings":5}"#) == 5)
    #expect(
      try context(yarn + #","original_max_position_embeddings":5},"original_max_position_embeddings":6"#) == 6)
  }

  @Test func aFactorWithoutATypeIsLinear() throws {
    var metadata = try Self.metadata(LlamaParameters(config: Self.config("llama")))
    metadata["llama.rope.scaling.factor"] = .float32(4)
    #expect(try LlamaParameters(metadata: metadata).ropeScaling == .linear(factor: 4))
  }

  /// What stands in `config.json`, the key blamed, what the message names, and what it says to do.
  static let foreign: [(family: String, more: String, subject: String, names: String, remedy: String)] = [
    (
      "llama4", #""architectures":["Llama4ForConditionalGeneration"],"vision_config":{}"#, "architectures", "Llama 4",
      "convert_hf_to_gguf.py"
    ),
    ("llama4_text", "", "model_type", "Llama 4", "earlier Llama"),
    (
      "mllama", #""architectures":["MllamaForConditionalGeneration"],"vision_config":{}"#, "architectures", "images",
      "text model"
    ),
    ("llava", #""architectures":["LlavaForConditionalGeneration"]"#, "architectures", "images", "text model"),
    (
      "mistral3", #""architectures":["Mistral3ForConditionalGeneration"],"vision_config":{}"#, "architectures",
      "images",
      "Mistral"
    ),
    ("pixtral", "", "model_type", "images", "text model"),
    ("brand_new", #""vision_config":{"depth":1}"#, "model_type", "images", "text model"),
    ("qwen2", #""architectures":["Qwen2ForCausalLM"]"#, "architectures", "Qwen2ForCausalLM", "supported"),
    ("gemma3", "", "model_type", "gemma3", "supported"), ("ministral", "", "model_type", "ministral", "supported"),
    ("gpt2", "", "model_type", "gpt2", "convert_hf_to_gguf.py"), ("", "", "model_type", "\"\"", "supported"),
    (
      "llama", #""architectures":["LlamaForSequenceClassification"]"#, "architectures", "no output for text",
      "ForCausalLM"
    ),
    ("mistral", #""architectures":["MistralModel"]"#, "architectures", "no output for text", "ForCausalLM"),
    ("llama", #""architectures":["MistralForCausalLM"]"#, "model_type", "MistralForCausalLM", "one family"),
  ]

  @Test(arguments: foreign)
  func anotherFamilyIsRefusedByNameWithWhatToDo(
    _ family: String, _ more: String, _ subject: String, _ names: String, _ remedy: String
  ) throws {
    let config = try Self.config(family, more)
    for refuse in [{ _ = try LlamaParameters(config: config) }, { try ForeignFamily.refuse(config) }] {
      let error = #expect(throws: InputError.self) { try refuse() }
      #expect(error?.code == .unsupported)
      #expect(error?.file == "config.json")
      #expect(error?.subject == subject)
      #expect(error?.problem.contains(names) == true, "\(error?.problem ?? "")")
      #expect(error?.remedy?.contains(remedy) == true, "\(error?.remedy ?? "")")
    }
  }

  @Test(arguments: [("llama4", "Llama 4"), ("mllama", "images"), ("qwen2", "qwen2"), ("deepseek2", "deepseek2")])
  func anArchitectureOfAGGUFIsRefusedByName(_ architecture: String, _ names: String) throws {
    var metadata = try Self.metadata(LlamaParameters(config: Self.config("llama")))
    metadata["general.architecture"] = .string(architecture)
    let error = #expect(throws: InputError.self) { try LlamaParameters(metadata: metadata, file: "x.gguf") }
    #expect(error?.subject == "general.architecture")
    #expect(error?.problem.contains(names) == true)
    #expect(error?.remedy?.contains("llama-quantize") == true)
  }

  /// What is put over a Mixtral's configuration, the field blamed, and the law.
  static let hostile: [(String, String, InputError.Code)] = [
    (#""num_local_experts":0"#, "num_local_experts", .shape), (#""num_local_experts":-8"#, "num_local_experts", .limit),
    (#""num_local_experts":1000000000"#, "num_local_experts", .limit),
    (#""num_local_experts":"8""#, "num_local_experts", .type), (#""num_experts":[8]"#, "num_experts", .type),
    (#""num_experts_per_tok":9"#, "num_experts_per_tok", .shape),
    (#""num_experts_per_tok":0"#, "num_experts_per_tok", .shape),
    (#""sliding_window":0"#, "sliding_window", .shape), (#""sliding_window":1.5"#, "sliding_window", .type),
    (#""sliding_window":-4096"#, "sliding_window", .limit),
  ]

  @Test(arguments: hostile)
  func expertsAndWindowsThatCannotBeAreRefused(_ field: String, _ subject: String, _ code: InputError.Code) throws {
    let error = #expect(throws: InputError.self) { try LlamaParameters(config: Self.config("mixtral", field)) }
    #expect(error?.subject == subject)
    #expect(error?.code == code)
  }

  @Test func sizesWhoseProductOverflowsAreRefused() throws {
    let text =
      #"{"model_type":"mixtral","hidden_size":16777216,"intermediate_size":16777216,"num_hidden_layers":4096,"#
      + #""num_attention_heads":65536,"num_key_value_heads":1,"head_dim":2,"vocab_size":4096,"num_local_experts":512}"#
    let config = try JSONDocument(parsing: Array(text.utf8), file: "config.json").root
    let error = #expect(throws: InputError.self) { try LlamaParameters(config: config) }
    #expect(error?.code == .overflow)
  }

  static let hostileKeys: [(String, MetadataValue?, InputError.Code)] = [
    ("llama.expert_used_count", nil, .missing), ("llama.expert_used_count", .uint32(0), .shape),
    ("llama.expert_used_count", .uint32(9), .shape), ("llama.expert_count", .int32(-1), .limit),
    ("llama.expert_count", .string("8"), .type), ("llama.attention.sliding_window", .int32(-1), .limit),
  ]

  @Test(arguments: hostileKeys)
  func aHostileKeyOfAMixtralIsRefusedByName(_ key: String, _ value: MetadataValue?, _ code: InputError.Code) throws {
    var metadata = try Self.metadata(LlamaParameters(config: Self.config("mixtral")))
    metadata[key] = value
    let error = #expect(throws: InputError.self) { try LlamaParameters(metadata: metadata, file: "x.gguf") }
    #expect(error?.subject == key)
    #expect(error?.code == code)
  }
}

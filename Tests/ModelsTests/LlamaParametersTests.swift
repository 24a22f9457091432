import Bytes
import Models
import Tensors
import Testing

@Suite struct LlamaParametersTests {
  static let base =
    #""model_type":"llama","hidden_size":256,"intermediate_size":768,"num_hidden_layers":6,"#
    + #""num_attention_heads":8,"num_key_value_heads":4,"vocab_size":4096,"rms_norm_eps":1e-05"#

  static func config(_ more: String, without: String? = nil) throws -> JSONValue {
    var text = base
    if let without {
      text = text.split(separator: ",").filter { !$0.hasPrefix("\"\(without)\"") }.joined(separator: ",")
    }
    return try JSONDocument(parsing: Array("{\(text)\(more.isEmpty ? "" : ",")\(more)}".utf8), file: "config.json").root
  }

  @Test func absentFieldsHaveTheDefaultsOfTransformers() throws {
    let parameters = try LlamaParameters(config: Self.config("", without: "num_key_value_heads"))
    #expect(parameters.keyValueHeadCount == 8)
    #expect(parameters.headSize == 32)
    #expect(parameters.ropeTheta == 10000)
    #expect(parameters.contextLength == 2048)
    #expect(!parameters.tiesOutput && !parameters.hasAttentionBias && !parameters.hasFeedForwardBias)
    #expect(parameters.ropeScaling == .none)
  }

  static let llama3 =
    #""factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":8192"#

  @Test(arguments: [
    #""rope_theta":500000.0,"rope_scaling":{"rope_type":"llama3",\#(llama3)},"torch_dtype":"bfloat16""#,
    #""rope_theta":500000.0,"rope_scaling":{"type":"llama3",\#(llama3)}"#,
    #""rope_parameters":{"rope_theta":500000.0,"rope_type":"llama3",\#(llama3)},"dtype":"bfloat16""#,
    #""rope_theta":1.0,"rope_parameters":{"rope_theta":5e5,"rope_type":"llama3",\#(llama3)}"#,
    #""rope_theta":500000,"rope_parameters":{"rope_type":"llama3",\#(llama3)}"#,
  ])
  func bothSpellingsOfTheRotationAreRead(_ spelling: String) throws {
    let parameters = try LlamaParameters(config: Self.config(spelling))
    #expect(parameters.ropeTheta == 500_000)
    #expect(
      parameters.ropeScaling == .llama3(factor: 8, lowFrequency: 1, highFrequency: 4, originalContext: 8192))
  }

  @Test(arguments: [#""rope_scaling":null"#, #""rope_parameters":{"rope_theta":1e4,"rope_type":"default"}"#])
  func noScalingIsNone(_ spelling: String) throws {
    #expect(try LlamaParameters(config: Self.config(spelling)).ropeScaling == .none)
  }

  @Test func linearScalingIsReadAndWritten() throws {
    let parameters = try LlamaParameters(config: Self.config(#""rope_scaling":{"type":"linear","factor":2}"#))
    #expect(parameters.ropeScaling == .linear(factor: 2))
    let metadata = try parameters.metadata(
      folder: "x", config: nil, generation: nil, parameterCount: 0, fileType: 1)
    #expect(metadata["llama.rope.scaling.type"] == .string("linear"))
    #expect(metadata["llama.rope.scaling.factor"] == .float32(2))
    #expect(try LlamaParameters(metadata: metadata).ropeScaling == .linear(factor: 2))
  }

  /// What is put over `base`, the field blamed, and the law.
  static let hostile: [(String, String, InputError.Code)] = [
    (#""num_hidden_layers":1000000000"#, "num_hidden_layers", .limit),
    (#""num_hidden_layers":-1"#, "num_hidden_layers", .limit),
    (#""num_hidden_layers":3.5"#, "num_hidden_layers", .type),
    (#""num_hidden_layers":"6""#, "num_hidden_layers", .type),
    (#""num_hidden_layers":0"#, "num_hidden_layers", .shape),
    (#""hidden_size":0"#, "hidden_size", .shape),
    (#""hidden_size":9223372036854775807"#, "hidden_size", .limit),
    (#""num_attention_heads":7"#, "num_attention_heads", .shape),
    (#""num_key_value_heads":3"#, "num_key_value_heads", .shape),
    (#""vocab_size":[1]"#, "vocab_size", .type),
    (#""head_dim":33"#, "head_dim", .shape),
    (#""model_type":"gpt2""#, "model_type", .unsupported),
    (#""hidden_act":"gelu""#, "hidden_act", .unsupported),
    (#""num_local_experts":8"#, "num_local_experts", .unsupported),
    (#""quantization_config":{"quant_method":"gptq"}"#, "quantization_config", .unsupported),
    (#""rope_scaling":{"rope_type":"longrope","factor":2}"#, "rope_type", .unsupported),
    (#""rope_scaling":{"rope_type":"llama3","factor":8}"#, "low_freq_factor", .missing),
    (#""rope_scaling":{"rope_type":"linear","factor":0}"#, "factor", .limit),
    (#""rope_scaling":{"rope_type":"yarn"}"#, "factor", .missing),
    (#""rope_scaling":{"rope_type":"yarn","factor":2,"mscale":0.7}"#, "mscale", .unsupported),
    (#""rope_scaling":{"rope_type":"yarn","factor":2,"truncate":false}"#, "truncate", .unsupported),
    (#""rope_scaling":{"rope_type":"yarn","factor":2,"beta_fast":-1}"#, "beta_fast", .limit),
    (#""rope_parameters":{"rope_type":"default","partial_rotary_factor":0.5}"#, "partial_rotary_factor", .unsupported),
    (#""rope_scaling":7"#, "rope_scaling", .type),
    (#""attention_bias":1"#, "attention_bias", .type),
  ]

  @Test(arguments: hostile)
  func whatNoLlamaHasIsRefusedByName(_ fields: String, _ subject: String, _ code: InputError.Code) throws {
    let config = try Self.config(fields, without: subject)
    let error = #expect(throws: InputError.self) { try LlamaParameters(config: config) }
    #expect(error?.subject == subject)
    #expect(error?.code == code)
    #expect(error?.file == "config.json")
  }

  @Test func notANumberIsNoJSON() {
    #expect(throws: InputError.self) { try Self.config(#""rms_norm_eps":NaN"#, without: "rms_norm_eps") }
  }

  @Test(arguments: ["num_hidden_layers", "hidden_size", "vocab_size", "num_attention_heads", "model_type"])
  func aMissingFieldIsNamed(_ key: String) throws {
    let config = try Self.config("", without: key)
    let error = #expect(throws: InputError.self) { try LlamaParameters(config: config) }
    #expect(error?.subject == key)
    #expect(error?.code == .missing)
  }

  /// The keys and types of convert_hf_to_gguf.py at llama.cpp 0c1e57098 on fixtures/tiny-llama.
  @Test func metadataHasTheIncumbentsKeysInItsOrder() throws {
    let config = try Self.config(#""rope_theta":500000.0,"max_position_embeddings":2048"#)
    let generation = try JSONDocument(
      parsing: Array(#"{"bos_token_id":3840,"do_sample":true,"temperature":0.6,"top_p":0.9}"#.utf8)
    ).root
    let metadata = try LlamaParameters(config: config).metadata(
      folder: "tiny-llama", config: config, generation: generation, parameterCount: 6_818_048, fileType: 32)
    let expected: [(String, MetadataValue)] = [
      ("general.architecture", .string("llama")), ("general.type", .string("model")),
      ("general.sampling.top_p", .float32(0.9)), ("general.sampling.temp", .float32(0.6)),
      ("general.name", .string("Tiny Llama")), ("general.size_label", .string("6.8M")),
      ("llama.block_count", .uint32(6)), ("llama.context_length", .uint32(2048)),
      ("llama.embedding_length", .uint32(256)), ("llama.feed_forward_length", .uint32(768)),
      ("llama.attention.head_count", .uint32(8)), ("llama.attention.head_count_kv", .uint32(4)),
      ("llama.rope.freq_base", .float32(500000)), ("llama.attention.layer_norm_rms_epsilon", .float32(1e-5)),
      ("llama.attention.key_length", .uint32(32)), ("llama.attention.value_length", .uint32(32)),
      ("general.file_type", .uint32(32)), ("llama.vocab_size", .uint32(4096)),
      ("llama.rope.dimension_count", .uint32(32)), ("general.quantization_version", .uint32(2)),
    ]
    #expect(metadata.keys == expected.map(\.0))
    for (key, value) in expected { #expect(metadata[key] == value, "\(key)") }
  }

  @Test(arguments: [
    (#""_name_or_path":"acme/Big-Llama-2-13b-hf""#, "Big Llama 2 13b Hf", "Acme"),
    (#""_name_or_path":"/data/models/x""#, "Some Model", nil), (#""_name_or_path":"""#, "Some Model", nil),
  ])
  func theConfigNamesTheModelUnlessItGivesAPath(_ field: String, _ name: String, _ organization: String?) throws {
    let config = try Self.config(field)
    let metadata = try LlamaParameters(config: config).metadata(
      folder: "some-model", config: config, generation: nil, parameterCount: 0, fileType: 0)
    #expect(metadata["general.name"] == .string(name))
    #expect(metadata["general.organization"] == organization.map(MetadataValue.string))
  }

  @Test(arguments: [#"{"top_k":"50"}"#, #"{"temperature":[1]}"#, #"{"top_k":4294967296}"#])
  func aSamplingDefaultOfAnotherTypeIsNamed(_ text: String) throws {
    let generation = try JSONDocument(parsing: Array(text.utf8)).root
    let error = #expect(throws: InputError.self) {
      try LlamaParameters(config: Self.config("")).metadata(
        folder: "x", config: nil, generation: generation, parameterCount: 0, fileType: 0)
    }
    #expect(error?.subject != nil)
  }

  @Test func metadataAndConfigGiveTheSameParameters() throws {
    let config = try Self.config(#""rope_theta":500000.0,"max_position_embeddings":2048"#)
    var parameters = try LlamaParameters(config: config)
    let metadata = try parameters.metadata(
      folder: "x", config: config, generation: nil, parameterCount: 0, fileType: 0)
    parameters.normEpsilon = Double(Float(parameters.normEpsilon))
    #expect(try LlamaParameters(metadata: metadata) == parameters)
  }

  static let hostileKeys: [(String, MetadataValue?, InputError.Code)] = [
    ("general.architecture", .string("gpt2"), .unsupported), ("general.architecture", nil, .missing),
    ("llama.block_count", .uint32(0), .shape), ("llama.block_count", .string("6"), .type),
    ("llama.block_count", .uint32(.max), .limit), ("llama.block_count", nil, .missing),
    ("llama.attention.head_count", .uint32(0), .shape), ("llama.attention.head_count", .uint32s([8, 8]), .type),
    ("llama.attention.head_count_kv", .uint32(3), .shape), ("llama.embedding_length", .int32(-1), .limit),
    ("llama.attention.value_length", .uint32(16), .shape), ("llama.rope.dimension_count", .uint32(16), .shape),
    ("llama.rope.freq_base", .float32(.nan), .type), ("llama.rope.freq_base", .uint32(1), .type),
    ("llama.attention.layer_norm_rms_epsilon", nil, .missing), ("llama.expert_count", .uint32(1 << 20), .limit),
    ("llama.rope.scaling.type", .string("longrope"), .unsupported),
    ("llama.attention.sliding_window", .float32(1), .type), ("llama.vocab_size", .uint64(.max), .type),
  ]

  @Test(arguments: hostileKeys)
  func aHostileKeyIsRefusedByName(_ key: String, _ value: MetadataValue?, _ code: InputError.Code) throws {
    var metadata = try LlamaParameters(config: Self.config("")).metadata(
      folder: "x", config: nil, generation: nil, parameterCount: 0, fileType: 0)
    metadata[key] = value
    let error = #expect(throws: InputError.self) { try LlamaParameters(metadata: metadata, file: "x.gguf") }
    #expect(error?.subject == key)
    #expect(error?.code == code)
  }
}

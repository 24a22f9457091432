import Bytes
import Models
import Tensors
import TestSupport
import Testing

/// What follows from Meta's params.json and the shapes beside it.
@Suite struct MetaParametersTests {
  private struct Empty: TensorSource {
    func read(rows: Range<Int>, rowBytes: Int, into bytes: UnsafeMutableRawBufferPointer) throws {}
  }

  /// A published params.json, what follows from it, and how many rows the embedding has.
  struct Published: Sendable, CustomTestStringConvertible {
    var name: String
    var params: String
    var rows: Int
    var release: MetaRelease
    var feedForward: Int
    var context: Int
    var theta: Double
    var factor: Double?
    var testDescription: String { name }
  }

  static let published: [Published] = [
    Published(
      name: "Llama 7B",
      params: #"{"dim": 4096, "multiple_of": 256, "n_heads": 32, "n_layers": 32, "norm_eps": 1e-06, "vocab_size": -1}"#,
      rows: 32000, release: .one, feedForward: 11008, context: 2048, theta: 10000),
    Published(
      name: "Llama 2 13B",
      params: #"{"dim": 5120, "multiple_of": 256, "n_heads": 40, "n_layers": 40, "norm_eps": 1e-05, "vocab_size": -1}"#,
      rows: 32000, release: .two, feedForward: 13824, context: 4096, theta: 10000),
    Published(
      name: "Llama 2 70B",
      params:
        #"{"dim": 8192, "multiple_of": 4096, "ffn_dim_multiplier": 1.3, "n_heads": 64, "n_kv_heads": 8, "n_layers": 80, "norm_eps": 1e-05, "vocab_size": -1}"#,
      rows: 32000, release: .two, feedForward: 28672, context: 4096, theta: 10000),
    Published(
      name: "Code Llama 34B",
      params:
        #"{"dim": 8192, "n_layers": 48, "n_heads": 64, "n_kv_heads": 8, "multiple_of": 256, "ffn_dim_multiplier": 1.0, "norm_eps": 1e-5, "rope_theta": 1000000}"#,
      rows: 32000, release: .code, feedForward: 22016, context: 16384, theta: 1e6),
    Published(
      name: "Llama 3 8B",
      params:
        #"{"dim": 4096, "n_layers": 32, "n_heads": 32, "n_kv_heads": 8, "vocab_size": 128256, "multiple_of": 1024, "ffn_dim_multiplier": 1.3, "norm_eps": 1e-05, "rope_theta": 500000.0}"#,
      rows: 128256, release: .three, feedForward: 14336, context: 8192, theta: 5e5),
    Published(
      name: "Llama 3.1 405B",
      params:
        #"{"dim": 16384, "ffn_dim_multiplier": 1.2, "multiple_of": 4096, "n_heads": 128, "n_kv_heads": 8, "n_layers": 126, "norm_eps": 1e-05, "rope_theta": 500000.0, "use_scaled_rope": true, "vocab_size": 128256}"#,
      rows: 128256, release: .threeOne, feedForward: 53248, context: 131_072, theta: 5e5, factor: 8),
    Published(
      name: "Llama 3.2 1B",
      params:
        #"{"dim": 2048, "ffn_dim_multiplier": 1.5, "multiple_of": 256, "n_heads": 32, "n_kv_heads": 8, "n_layers": 16, "norm_eps": 1e-05, "rope_theta": 500000.0, "use_scaled_rope": true, "vocab_size": 128256}"#,
      rows: 128256, release: .threeTwo, feedForward: 8192, context: 131_072, theta: 5e5, factor: 32),
    Published(
      name: "Llama 3.2 3B, nested",
      params:
        #"{"model": {"dim": 3072, "ffn_dim_multiplier": 1.0, "multiple_of": 256, "n_heads": 24, "n_kv_heads": 8, "n_layers": 28, "norm_eps": 1e-05, "rope_theta": 500000.0, "use_scaled_rope": true, "vocab_size": 128256}}"#,
      rows: 128256, release: .threeTwo, feedForward: 8192, context: 131_072, theta: 5e5, factor: 32),
  ]

  private func tensor(_ name: String, _ shape: [Int]) throws -> Tensor {
    try Tensor(name: name, dtype: .bf16, shape: Shape(shape), source: Empty())
  }

  private func parameters(
    _ text: String, rows: Int = 512, feedForward: Int? = nil, ropeFactor: Double? = nil
  ) throws -> MetaParameters {
    var tensors = [try tensor("tok_embeddings.weight", [rows, 1])]
    if let feedForward { tensors.append(try tensor("layers.0.feed_forward.w1.weight", [feedForward, 1])) }
    let json = try JSONDocument(parsing: Array(text.utf8), file: "params.json").root
    return try MetaParameters(params: json, tensors: tensors, ropeFactor: ropeFactor)
  }

  @Test(arguments: published) func aReleaseIsTold(_ model: Published) throws {
    let meta = try parameters(model.params, rows: model.rows, feedForward: model.feedForward)
    #expect(meta.release == model.release)
    #expect(meta.parameters.feedForwardSize == model.feedForward)
    #expect(meta.parameters.contextLength == model.context)
    #expect(meta.parameters.ropeTheta == model.theta)
    #expect(meta.parameters.vocabularySize == model.rows)
    if let factor = model.factor {
      let scaling = RopeScaling.llama3(factor: factor, lowFrequency: 1, highFrequency: 4, originalContext: 8192)
      #expect(meta.parameters.ropeScaling == scaling)
      #expect(meta.notes.contains { $0.contains("rope factor; \(Int(factor)) ") && $0.contains("--rope-factor") })
    } else {
      #expect(meta.parameters.ropeScaling == .none)
    }
    #expect(meta.notes.contains { $0.contains("context length; \(model.context)") })
  }

  @Test func theUsersRopeFactorIsTaken() throws {
    let meta = try parameters(MetaParametersTests.published[6].params, rows: 128256, ropeFactor: 8)
    guard case .llama3(let factor, _, _, _) = meta.parameters.ropeScaling else {
      Issue.record("not scaled")
      return
    }
    #expect(factor == 8)
    #expect(!meta.notes.contains { $0.contains("rope factor") })
  }

  @Test func keyValueHeadsAreHeadsWhereNothingSaysOtherwise() throws {
    let meta = try parameters(MetaParametersTests.published[0].params, rows: 32000)
    #expect(meta.parameters.keyValueHeadCount == 32 && meta.parameters.headSize == 128)
    #expect(meta.parameters.tiesOutput)
  }

  @Test func aFeedForwardWidthThatTheTensorsHaveNotIsRefused() throws {
    #expect {
      try parameters(MetaParametersTests.published[4].params, rows: 128256, feedForward: 11008)
    } throws: {
      guard let error = $0 as? InputError else { return false }
      return error.code == .shape && error.subject == "ffn_dim_multiplier" && error.problem.contains("14336")
        && error.problem.contains("11008") && error.remedy != nil
    }
  }

  /// The key, its JSON (`nil` leaves it out), the code of the error.
  static let wrong: [(String, String?, InputError.Code)] = [
    ("dim", nil, .missing), ("dim", "0", .shape), ("dim", "-64", .limit), ("dim", "1e9", .type),
    ("dim", "4611686018427387904", .limit), ("dim", "99999999999999999999", .type), ("dim", "\"64\"", .type),
    ("dim", "[64]", .type), ("dim", "64.5", .type), ("dim", "66", .shape),
    ("n_layers", nil, .missing), ("n_layers", "0", .shape), ("n_layers", "-2", .limit),
    ("n_layers", "1000000000", .limit), ("n_layers", "3.5", .type), ("n_layers", "null", .type),
    ("n_heads", "0", .shape), ("n_heads", "-4", .limit), ("n_heads", "3", .shape), ("n_heads", "64", .shape),
    ("n_heads", "{}", .type), ("n_kv_heads", "0", .shape), ("n_kv_heads", "3", .shape), ("n_kv_heads", "8", .shape),
    ("n_kv_heads", "-1", .limit), ("n_kv_heads", "true", .type), ("vocab_size", "0", .shape),
    ("vocab_size", "-2", .limit), ("vocab_size", "1e3", .type), ("multiple_of", "0", .shape),
    ("multiple_of", "-256", .limit), ("multiple_of", "9223372036854775807", .limit), ("multiple_of", "\"a\"", .type),
    ("ffn_dim_multiplier", "0", .limit), ("ffn_dim_multiplier", "-1.3", .limit),
    ("ffn_dim_multiplier", "1e300", .limit),
    ("ffn_dim_multiplier", "1e999", .type), ("ffn_dim_multiplier", "\"1.3\"", .type), ("norm_eps", "-1", .limit),
    ("norm_eps", "1", .limit), ("norm_eps", "\"x\"", .type), ("rope_theta", "0", .limit), ("rope_theta", "-1", .limit),
    ("rope_theta", "1e31", .limit), ("rope_theta", "[]", .type), ("use_scaled_rope", "1", .type),
    ("quantization_args", "{\"scheme\": \"int4_weight_int8_dynamic_activation\"}", .unsupported),
    ("lora_args", "{\"rank\": 16}", .unsupported), ("vision_chunk_size", "448", .unsupported),
    ("vision_num_cross_attention_layers", "8", .unsupported), ("moe_args", "{}", .unsupported),
    ("moe", "{\"num_experts\": 8}", .unsupported), ("hidden_dim", "14336", .unsupported),
    ("sliding_window", "4096", .unsupported),
  ]

  @Test(arguments: wrong) func aWrongValueIsANamedError(_ key: String, _ json: String?, _ code: InputError.Code) throws
  {
    var model = MetaModel.small
    model.set(key, json)
    #expect {
      try parameters(model.paramsText, rows: 64)
    } throws: {
      guard let error = $0 as? InputError else { return false }
      return error.code == code && error.file == "params.json" && error.remedy != nil
    }
  }

  @Test(arguments: ["[]", "1", "null", #"{"model": 1}"#, "{}"]) func whatIsNoObjectOfParametersIsRefused(_ text: String)
  {
    #expect { try parameters(text) } throws: { $0 is InputError }
  }

  @Test func keysThatMeanNothingHereAreLeftAlone() throws {
    var model = MetaModel.small
    for (key, json) in [("vision_chunk_size", "-1"), ("max_seq_len", "2048"), ("max_batch_size", "32")] {
      model.set(key, json)
    }
    #expect(try parameters(model.paramsText, rows: 64, feedForward: 192).parameters.feedForwardSize == 192)
  }
}

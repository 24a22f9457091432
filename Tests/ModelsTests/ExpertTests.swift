import Bytes
import Models
import Tensors
import TestSupport
import Testing

/// Experts: stacked from a checkpoint's names, and chosen by a router.
@Suite struct ExpertTests {
  static let (experts, hidden, inner) = (3, 4, 5)

  static func parameters() throws -> LlamaParameters {
    let text =
      #"{"model_type":"mixtral","hidden_size":\#(hidden),"intermediate_size":\#(inner),"num_hidden_layers":2,"#
      + #""num_attention_heads":2,"num_key_value_heads":1,"vocab_size":5,"num_local_experts":\#(experts)}"#
    return try LlamaParameters(config: JSONDocument(parsing: Array(text.utf8)).root)
  }

  static func tensor(_ name: String, _ dimensions: [Int], _ dtype: DType = .f32, from first: Int = 0) throws -> Tensor {
    let shape = try Shape(dimensions)
    return try Tensor(
      name: name, dtype: dtype, shape: shape,
      source: MemoryRows((first..<first + shape.elementCount).map(Float.init)))
  }

  private static func isExpert(_ tensor: Tensor) -> Bool { tensor.name.contains(".experts.") }

  /// Everything but the experts, under Hugging Face's names.
  static func dense() throws -> [Tensor] {
    try parameters().expectedTensors.filter(\.isRequired).map {
      try tensor(LlamaMap.huggingFaceName($0.name), $0.dimensions)
    }.filter { !isExpert($0) }
  }

  /// Element `i` of part `p` of expert `e` in layer `l` is `1000 l + 100 e + 30 p + i`, p being 0, 1, 2 for w1, w2, w3.
  static func first(_ layer: Int, _ expert: Int, _ part: Int) -> Int { 1000 * layer + 100 * expert + 30 * part }

  /// As Mixtral's own checkpoints have them.
  static func apart() throws -> [Tensor] {
    var tensors: [Tensor] = []
    for layer in 0..<2 {
      for expert in 0..<experts {
        for (part, name) in ["w1", "w2", "w3"].enumerated() {
          tensors.append(
            try tensor(
              "model.layers.\(layer).block_sparse_moe.experts.\(expert).\(name).weight",
              part == 1 ? [hidden, inner] : [inner, hidden], from: first(layer, expert, part)))
        }
      }
    }
    return tensors
  }

  /// As transformers 5 has them in memory.
  static func together() throws -> [Tensor] {
    try (0..<2).flatMap { layer in
      let stack = { (dimensions: [Int], parts: [Int]) in
        (0..<experts).flatMap { expert in
          parts.flatMap { part in (0..<inner * hidden).map { Float(first(layer, expert, part) + $0) } }
        }
      }
      return try [
        Tensor(
          name: "model.layers.\(layer).mlp.experts.gate_up_proj", dtype: .f32,
          shape: Shape([experts, 2 * inner, hidden]),
          source: MemoryRows(stack([inner, hidden], [0, 2]))),
        Tensor(
          name: "model.layers.\(layer).mlp.experts.down_proj", dtype: .f32, shape: Shape([experts, hidden, inner]),
          source: MemoryRows(stack([hidden, inner], [1]))),
      ]
    }
  }

  static let parts = [("gate", 0, [inner, hidden]), ("down", 1, [hidden, inner]), ("up", 2, [inner, hidden])]

  @Test(arguments: ["as stored", "backwards", "shuffled", "stacked"])
  func everyRowRangeOfAStackIsItsExpertsRows(_ order: String) throws {
    var checkpoint = try Self.dense() + (order == "stacked" ? Self.together() : Self.apart())
    if order == "backwards" { checkpoint.reverse() }
    if order == "shuffled" {
      var generator = SeededGenerator(seed: 3)
      checkpoint.shuffle(using: &generator)
    }
    let mapped = try LlamaMap.ggufTensors(from: checkpoint, parameters: Self.parameters())
    _ = try ModelSource(parameters: Self.parameters(), tensors: mapped)
    for layer in 0..<2 {
      for (name, part, dimensions) in Self.parts {
        let tensor = try #require(mapped.first { $0.name == "blk.\(layer).ffn_\(name)_exps.weight" })
        #expect(tensor.shape.dimensions == [Self.experts] + dimensions)
        let all = (0..<Self.experts).flatMap { expert in
          (0..<Self.inner * Self.hidden).map { Float(Self.first(layer, expert, part) + $0) }
        }
        let columns = dimensions[1]
        for lower in 0...tensor.rows {
          for upper in lower...tensor.rows {
            let found = try LlamaMapTests.floats(tensor.read(rows: lower..<upper))
            #expect(found == Array(all[lower * columns..<upper * columns]))
          }
        }
      }
    }
  }

  /// Where the last expert of a layer stood, in the order gate, down, up.
  @Test func stacksStandWhereTheIncumbentPutsThem() throws {
    let checkpoint = try (Self.dense() + Self.apart()).sorted { $0.name < $1.name }
    let mapped = try LlamaMap.ggufTensors(from: checkpoint, parameters: Self.parameters())
    let layer = [
      "ffn_gate_exps", "ffn_down_exps", "ffn_up_exps", "ffn_gate_inp", "attn_norm", "ffn_norm", "attn_k", "attn_output",
      "attn_q", "attn_v",
    ]
    #expect(
      mapped.map(\.name) == ["output.weight", "token_embd.weight"]
        + (0..<2).flatMap { n in layer.map { "blk.\(n).\($0).weight" } } + ["output_norm.weight"])
  }

  private func refusal(_ checkpoint: [Tensor]) throws -> InputError? {
    let parameters = try Self.parameters()
    return #expect(throws: InputError.self) { try LlamaMap.ggufTensors(from: checkpoint, parameters: parameters) }
  }

  @Test func everyMissingExpertIsNamed() throws {
    let (dense, experts) = try (Self.dense(), Self.apart())
    for missing in experts {
      let error = try refusal(dense + experts.filter { $0.name != missing.name })
      #expect(error?.code == .missing)
      #expect(error?.subject == missing.name)
    }
    #expect(try refusal(dense)?.code == .missing)
    #expect(try refusal(dense)?.subject == "model.layers.0.block_sparse_moe.experts.0.w1.weight")
  }

  @Test func anExpertTwiceOrInTwoFormsIsRefused() throws {
    let (dense, apart, together) = try (Self.dense(), Self.apart(), Self.together())
    #expect(try refusal(dense + apart + [apart[4]])?.code == .duplicate)
    #expect(try refusal(dense + apart + [together[0]])?.code == .duplicate)
    #expect(try refusal(dense + together + apart)?.code == .duplicate)
    #expect(try refusal(dense + apart + [together[1]])?.code == .duplicate)
  }

  @Test(arguments: [
    "model.layers.0.block_sparse_moe.experts.3.w1.weight", "model.layers.0.block_sparse_moe.experts.-1.w1.weight",
    "model.layers.0.block_sparse_moe.experts.00.w1.weight", "model.layers.0.block_sparse_moe.experts.0.w4.weight",
    "model.layers.0.block_sparse_moe.experts.0.w1.bias", "model.layers.2.block_sparse_moe.experts.0.w1.weight",
    "model.layers.0.block_sparse_moe.experts.0.w1", "model.layers.0.mlp.experts.gate_up_proj.weight",
    "model.layers.9.mlp.experts.gate_up_proj", "model.layers.0.mlp.gate_proj.weight",
    "model.layers.0.block_sparse_moe.experts.99999999999999999999.w1.weight",
  ])
  func anExpertThatTheConfigurationHasNotIsNamed(_ name: String) throws {
    let stranger = try Self.tensor(name, [Self.inner, Self.hidden])
    let error = try refusal(Self.dense() + [stranger] + Self.apart())
    #expect(error?.code == .name)
    #expect(error?.subject == name)
  }

  @Test func anExpertOfAnotherShapeOrTypeIsRefused() throws {
    let (dense, apart, together) = try (Self.dense(), Self.apart(), Self.together())
    for index in [0, 7, 17] {
      var bad = apart
      bad[index] = try Self.tensor(apart[index].name, [Self.hidden + 1, Self.inner])
      #expect(try refusal(dense + bad)?.code == .shape)
      bad[index] = try Self.tensor(apart[index].name, apart[index].shape.dimensions, .f16)
      let error = try refusal(dense + bad)
      #expect(error?.code == .type)
    }
    for index in 0..<2 {
      var bad = together
      bad[index] = try Self.tensor(together[index].name, [Self.experts, Self.inner, Self.hidden + 1])
      #expect(try refusal(dense + bad)?.code == .shape)
    }
  }

  @Test func aDenseModelHasNoExperts() throws {
    let parameters = try LlamaMapTests.parameters()
    let checkpoint = try LlamaMapTests.checkpoint(parameters)
    for name in ["model.layers.0.mlp.gate.weight", "model.layers.0.mlp.experts.down_proj"] {
      let stranger = try Self.tensor(name, [2, 2])
      let error = #expect(throws: InputError.self) {
        try LlamaMap.ggufTensors(from: checkpoint + [stranger], parameters: parameters)
      }
      #expect(error?.code == .name)
    }
  }

  // MARK: The router

  @Test func theLikeliestAreChosenAndSharesSumToOne() throws {
    let logits = try Matrix(rows: 3, columns: 4, [0, 2, 1, -1, 5, 5, 5, 5, -100, 80, 80, 79])
    let routes = ExpertRoutes(logits: logits.view, used: 2)
    let chosen = (0..<4).map { routes.tokens(of: $0) }
    #expect(chosen.map { $0.map(\.token) } == [[1], [0, 1, 2], [0, 2], []])
    let e = Float(2.718281828)
    #expect((chosen[1][0].weight - e / (1 + e)).magnitude < 1e-6)
    #expect((chosen[2][0].weight - 1 / (1 + e)).magnitude < 1e-6)
    #expect(chosen[0][0].weight == 0.5 && chosen[1][1].weight == 0.5)
    #expect(chosen[1][2].weight == 0.5 && chosen[2][1].weight == 0.5)
  }

  @Test(arguments: [1, 2, 4], [Float.nan, .infinity, -.infinity])
  func whatIsNoNumberChoosesEveryExpertOnceAtMost(_ used: Int, _ value: Float) throws {
    for bad in [[value, 0, 1, 2], [0, value, 1, value], [value, value, value, value]] {
      let routes = ExpertRoutes(logits: try Matrix(rows: 1, columns: 4, bad).view, used: used)
      let chosen = (0..<4).map { routes.tokens(of: $0) }
      #expect(chosen.allSatisfy { $0.count <= 1 })
      #expect(chosen.reduce(0) { $0 + $1.count } == used)
    }
  }

  @Test func aRouterThatIsNoNumberIsFoundOut() throws {
    let model = try ForwardPassTests.model("forward/mixtral")
    let broken = try ModelSource(
      parameters: model.parameters,
      tensors: model.tensors.map { tensor in
        guard tensor.name == "blk.0.ffn_gate_inp.weight" else { return tensor }
        let values = [Float](repeating: .nan, count: tensor.shape.elementCount)
        return try Tensor(name: tensor.name, dtype: .f32, shape: tensor.shape, source: MemoryRows(values))
      })
    let text = try TextChunks((0..<32).map { Int32($0) }, context: 16, bos: nil)
    let error = #expect(throws: InputError.self) { try Evaluation(text).perplexity(of: ForwardPass(broken, jobs: 2)) }
    #expect(error?.code == .nonFinite)
  }

  @Test(arguments: [(1, 1 << 30), (2, 1 << 30), (3, 24 * 16 * 4 * 2 * 3), (2, 1)])
  func anyNumberOfThreadsAndAnyGroupingOfAMixtralGiveTheSameBits(_ jobs: Int, _ stateBytes: Int) throws {
    let text = try TextChunks((0..<24 * 9).map { Int32($0 * 17 % 37) }, context: 24, bos: 1)
    let model = try ForwardPassTests.model("forward/mixtral")
    let alone = try Evaluation(text, stateBytes: 1).perplexity(of: ForwardPass(model, jobs: 1))
    let other = try Evaluation(text, stateBytes: stateBytes).perplexity(of: ForwardPass(model, jobs: jobs))
    #expect(alone == other)
  }

  @Test func aMixtralDoesNotDriftFromItself() throws {
    let model = try ForwardPassTests.model("forward/mixtral")
    let text = try TextChunks((0..<24 * 5).map { Int32($0 * 17 % 37) }, context: 24, bos: 1)
    let reference = try ForwardPass(model, jobs: 2)
    let walked = try Evaluation(text).drift(of: [ForwardPass(model, jobs: 2, sharing: reference)], from: reference)[0]
    let (drift, layers) = (walked.drift, walked.layers.map(\.state))
    #expect(drift.meanDivergence == 0 && drift.topOneAgreement == 1)
    #expect(layers.allSatisfy { $0.relativeRMSError == 0 })
  }
}

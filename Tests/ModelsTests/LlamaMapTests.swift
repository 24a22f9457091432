import Bytes
import Models
import Tensors
import Testing

@Suite struct LlamaMapTests {
  static func parameters(_ more: String = "") throws -> LlamaParameters {
    let text =
      #"{"model_type":"llama","hidden_size":8,"intermediate_size":12,"num_hidden_layers":2,"#
      + #""num_attention_heads":2,"num_key_value_heads":1,"head_dim":6,"vocab_size":5\#(more)}"#
    return try LlamaParameters(config: JSONDocument(parsing: Array(text.utf8)).root)
  }

  /// Every tensor that the parameters ask for, under its Hugging Face name, sorted; element `i` of a tensor is `i`.
  static func checkpoint(_ parameters: LlamaParameters) throws -> [Tensor] {
    try parameters.expectedTensors.filter(\.isRequired).map { expected in
      let shape = try Shape(expected.dimensions)
      return try Tensor(
        name: LlamaMap.huggingFaceName(expected.name), dtype: .f32, shape: shape,
        source: MemoryRows((0..<shape.elementCount).map(Float.init)))
    }.sorted { $0.name < $1.name }
  }

  static func floats(_ bytes: [UInt8]) -> [Float] {
    stride(from: 0, to: bytes.count, by: 4).map { at in
      Float(bitPattern: (0..<4).reduce(0) { $0 | UInt32(bytes[at + $1]) << UInt32(8 * $1) })
    }
  }

  @Test func namesAndOrderAreTheIncumbents() throws {
    let parameters = try Self.parameters()
    let mapped = try LlamaMap.ggufTensors(from: Self.checkpoint(parameters), parameters: parameters)
    let layer = [
      "attn_norm", "ffn_down", "ffn_gate", "ffn_up", "ffn_norm", "attn_k", "attn_output", "attn_q", "attn_v",
    ]
    let expected =
      ["output.weight", "token_embd.weight"] + (0..<2).flatMap { n in layer.map { "blk.\(n).\($0).weight" } }
      + ["output_norm.weight"]
    #expect(mapped.map(\.name) == expected)
    _ = try ModelSource(parameters: parameters, tensors: mapped)
  }

  /// The row of `reshape(heads, 2, headSize/2, …).swapaxes(1, 2)` that stands at `row`.
  static func source(of row: Int, headSize: Int) -> Int {
    let (head, within) = (row / headSize, row % headSize)
    return head * headSize + within % 2 * (headSize / 2) + within / 2
  }

  @Test func everyRowRangeOfAQueryIsPermutedWithinItsHeads() throws {
    let parameters = try Self.parameters()
    let mapped = try LlamaMap.ggufTensors(from: Self.checkpoint(parameters), parameters: parameters)
    for name in ["blk.1.attn_q.weight", "blk.0.attn_k.weight"] {
      let tensor = try #require(mapped.first { $0.name == name })
      for lower in 0...tensor.rows {
        for upper in lower...tensor.rows {
          let expected = (lower..<upper).flatMap { row in
            (0..<8).map { Float(Self.source(of: row, headSize: 6) * 8 + $0) }
          }
          #expect(try Self.floats(tensor.read(rows: lower..<upper)) == expected)
        }
      }
    }
    let value = try #require(mapped.first { $0.name == "blk.0.attn_v.weight" })
    #expect(try Self.floats(value.read(rows: 0..<value.rows)) == (0..<48).map(Float.init))
  }

  @Test func biasesAreMappedAndPermutedWhenTheConfigHasThem() throws {
    let parameters = try Self.parameters(#","attention_bias":true,"mlp_bias":true"#)
    let checkpoint = try Self.checkpoint(parameters)
    let mapped = try LlamaMap.ggufTensors(from: checkpoint, parameters: parameters)
    let bias = try #require(mapped.first { $0.name == "blk.0.attn_q.bias" })
    #expect(
      try Self.floats(bias.read(rows: 0..<1)) == (0..<12).map { Float(Self.source(of: $0, headSize: 6)) })
    #expect(mapped.count { $0.name.hasSuffix(".bias") } == 14)

    let without = try Self.parameters()
    let error = #expect(throws: InputError.self) {
      try LlamaMap.ggufTensors(from: checkpoint, parameters: without)
    }
    #expect(error?.code == .name)
  }

  @Test func scaledFrequenciesComeFirst() throws {
    let scaling =
      #","rope_scaling":{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"#
      + #""original_max_position_embeddings":8192}"#
    let parameters = try Self.parameters(scaling)
    let mapped = try LlamaMap.ggufTensors(from: Self.checkpoint(parameters), parameters: parameters)
    #expect(mapped[0].name == "rope_freqs.weight")
    #expect(mapped[0].dtype == .f32)
    #expect(mapped[0].shape.dimensions == [3])
    let expected = try #require(parameters.ropeScaling.frequencyDivisors(theta: 10000, headSize: 6))
    #expect(try Self.floats(mapped[0].read(rows: 0..<1)) == expected)
  }

  @Test func aTiedOutputIsWrittenOnlyWhenStored() throws {
    let tied = try Self.parameters(#","tie_word_embeddings":true"#)
    var checkpoint = try Self.checkpoint(tied)
    #expect(!checkpoint.contains { $0.name == "lm_head.weight" })
    #expect(try !LlamaMap.ggufTensors(from: checkpoint, parameters: tied).contains { $0.name == "output.weight" })
    checkpoint.append(
      try #require(checkpoint.first { $0.name == "model.embed_tokens.weight" }).renamed("lm_head.weight"))
    #expect(try LlamaMap.ggufTensors(from: checkpoint, parameters: tied).contains { $0.name == "output.weight" })
  }

  @Test func whatIsComputedIsLeftOut() throws {
    let parameters = try Self.parameters()
    var checkpoint = try Self.checkpoint(parameters)
    checkpoint.append(
      try Tensor(
        name: "model.layers.0.self_attn.rotary_emb.inv_freq", dtype: .f32, shape: Shape([3]),
        source: MemoryRows([1, 2, 3] as [Float])))
    #expect(try LlamaMap.ggufTensors(from: checkpoint, parameters: parameters).count == 21)
  }

  @Test func namesWithoutTheirModelPrefixAreKnown() throws {
    let parameters = try Self.parameters(#","tie_word_embeddings":true"#)
    let bare = try Self.checkpoint(parameters).map { $0.renamed(String($0.name.dropFirst("model.".count))) }
    #expect(try LlamaMap.ggufTensors(from: bare, parameters: parameters).count == 20)
  }

  static let strangers = [
    "model.layers.2.self_attn.q_proj.weight", "model.layers.0.self_attn.q_norm.weight",
    "model.layers.00.mlp.up_proj.weight",
    "model.layers.-1.mlp.up_proj.weight", "model.layers.0.mlp.up_proj.bias", "weight", "", "model.layers.0.weight",
    "model.layers.0.self_attn.q_proj.weight.weight", "model.layers.99999999999999999999.mlp.up_proj.weight",
  ]

  @Test(arguments: strangers) func anUnknownTensorIsNamed(_ name: String) throws {
    let parameters = try Self.parameters()
    let checkpoint =
      try Self.checkpoint(parameters) + [
        Tensor(name: name, dtype: .f32, shape: Shape([1]), source: MemoryRows([0] as [Float]))
      ]
    let error = #expect(throws: InputError.self) {
      try LlamaMap.ggufTensors(from: checkpoint, parameters: parameters)
    }
    #expect(error?.code == .name)
    #expect(error?.subject == name)
  }

  @Test func everyMissingTensorIsNamed() throws {
    let parameters = try Self.parameters()
    let checkpoint = try Self.checkpoint(parameters)
    for missing in checkpoint {
      let error = #expect(throws: InputError.self) {
        try LlamaMap.ggufTensors(from: checkpoint.filter { $0.name != missing.name }, parameters: parameters)
      }
      #expect(error?.code == .missing)
      #expect(error?.subject == missing.name)
    }
  }

  @Test func aShapeThatDoesNotFitAndATypeThatIsNoNumberAreRefused() throws {
    let parameters = try Self.parameters()
    let checkpoint = try Self.checkpoint(parameters)
    for (index, tensor) in checkpoint.enumerated() {
      var bad = checkpoint
      bad[index] = try Tensor(
        name: tensor.name, dtype: .f32, shape: Shape(tensor.shape.dimensions + [1]), source: MemoryRows([] as [Float]))
      var error = #expect(throws: InputError.self) { try LlamaMap.ggufTensors(from: bad, parameters: parameters) }
      #expect(error?.code == .shape)
      #expect(error?.subject == tensor.name)
      bad[index] = try Tensor(name: tensor.name, dtype: .i32, shape: tensor.shape, source: MemoryRows([] as [Float]))
      error = #expect(throws: InputError.self) { try LlamaMap.ggufTensors(from: bad, parameters: parameters) }
      #expect(error?.code == .type)
    }
  }

  @Test func twoTensorsOfOneNameAreRefused() throws {
    let parameters = try Self.parameters()
    let checkpoint = try Self.checkpoint(parameters)
    let error = #expect(throws: InputError.self) {
      try LlamaMap.ggufTensors(from: checkpoint + [checkpoint[3]], parameters: parameters)
    }
    #expect(error?.code == .duplicate)
  }
}

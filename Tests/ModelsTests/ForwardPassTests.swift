import Bytes
import Checkpoints
import Models
import Tensors
import TestSupport
import Testing

/// Whole models beside transformers in F32; `fixtures/forward/README.md` says how the numbers were recorded.
@Suite struct ForwardPassTests {
  static func model(_ folder: String) throws -> ModelSource {
    let checkpoint = try Checkpoint(opening: Fixtures.path(folder))
    return try ModelSource(config: #require(checkpoint.config).root, tensors: checkpoint.tensors)
  }

  static func expected(_ name: String) throws -> JSONValue {
    try JSONDocument(reading: Fixtures.path("forward/\(name).json"), limit: 1 << 20).root
  }

  static func floats(_ value: JSONValue) throws -> [Float] { try value.elements().map { Float(try $0.double()) } }
  static func ids(_ value: JSONValue) throws -> [Int32] { try value.elements().map { Int32(try $0.int()) } }

  static func greatestDifference(_ a: [Float], _ b: [Float]) -> Float {
    #expect(a.count == b.count)
    let differences = zip(a, b).map { ($0 - $1).magnitude }
    return differences.contains { $0.isNaN } ? .nan : differences.max() ?? .nan
  }

  @Test(arguments: ["plain", "llama3", "linear", "yarn", "yarn-stated", "biased", "tied", "mistral", "mixtral"])
  func everyKindOfLlamaComputesWhatTransformersDoes(_ kind: String) throws {
    let expected = try Self.expected("\(kind)/expected")
    let ids = try Self.ids(expected.required("ids"))
    let pass = try ForwardPass(Self.model("forward/\(kind)"), jobs: 2)
    let states = try pass.embed([ids])
    let last = Array(ids.count - 3..<ids.count)

    try pass.apply(layer: 0, to: states)
    let first = try Self.floats(expected.required("first_layer"))
    #expect(Self.greatestDifference(states.matrix[last[0]..<ids.count].values, first) < 2e-5)

    try pass.apply(layer: 1, to: states)
    let tile = try Matrix(rows: 3, columns: pass.parameters.vocabularySize)
    try pass.logits(of: last, in: states, into: tile)
    let logits = try Self.floats(expected.required("logits"))
    #expect(Self.greatestDifference(tile.view.values, logits) < 5e-5)
  }

  @Test func tinyLlamaComputesWhatTransformersDoes() throws {
    let expected = try Self.expected("tiny-llama")
    let ids = try Self.ids(expected.required("ids"))
    let context = try expected.required("context").int()
    let bos = Int32(try expected.required("bos").int())
    let text = try TextChunks(ids, context: context, bos: bos)
    #expect(try text.count == expected.required("chunks").int())
    let pass = try ForwardPass(Self.model("tiny-llama"), jobs: 2)

    let states = try pass.embed([text.input(1)])
    for layer in 0..<pass.layerCount { try pass.apply(layer: layer, to: states) }
    let positions = try expected.required("positions").elements().map { try $0.int() }
    let tile = try Matrix(rows: positions.count, columns: pass.parameters.vocabularySize)
    try pass.logits(of: positions, in: states, into: tile)
    let step = try expected.required("stride").int()
    for (row, logits) in try expected.required("logits").elements().enumerated() {
      let values = tile[row..<row + 1].values
      let sampled = stride(from: 0, to: values.count, by: step).map { values[$0] }
      #expect(try Self.greatestDifference(sampled, Self.floats(logits)) < 2e-4)
    }

    let result = try Evaluation(text).perplexity(of: pass)
    #expect(try result.count == expected.required("scored").int())
    let perplexity = try expected.required("perplexity").double()
    #expect((result.perplexity / perplexity - 1).magnitude < 1e-5)
    let error = try expected.required("standard_error").double()
    #expect((result.standardError / error - 1).magnitude < 1e-4)
  }

  /// A text of 11 chunks of which some are walked together.
  static func shortText() throws -> TextChunks {
    let expected = try expected("tiny-llama")
    return try TextChunks(ids(expected.required("ids")), context: 72, bos: 3840)
  }

  @Test(arguments: [(1, 1 << 30), (2, 1 << 30), (3, 72 * 256 * 4 * 2), (2, 1)])
  func anyNumberOfThreadsAndAnyGroupingGiveTheSameBits(_ jobs: Int, _ stateBytes: Int) throws {
    let text = try Self.shortText()
    let model = try Self.model("tiny-llama")
    let alone = try Evaluation(text).perplexity(of: ForwardPass(model, jobs: 1))
    let other = try Evaluation(text, stateBytes: stateBytes).perplexity(of: ForwardPass(model, jobs: jobs))
    #expect(alone == other)
  }

  @Test func sumsByLayerDoNotDependOnTheGrouping() throws {
    let (text, model) = try (Self.shortText(), Self.model("tiny-llama"))
    let changed = try model.replacing(AttributionTests.scaled("blk.2.ffn_up.weight", by: 1.02, in: model))
    let layers = try [1, 72 * 256 * 4 * 7, 1 << 30].map { stateBytes in
      try Evaluation(text, stateBytes: stateBytes).drift(
        of: [ForwardPass(changed, jobs: 2)], from: ForwardPass(model, jobs: 2))[0].layers
    }
    #expect(layers[0][5].state.relativeRMSError > 0)
    for other in layers[1...] {
      #expect(other.map(\.state) == layers[0].map(\.state))
      #expect(other.map(\.added) == layers[0].map(\.added))
    }
  }

  @Test(arguments: Arithmetic.allCases) func everyInstructionSetGivesTheSameBits(_ arithmetic: Arithmetic) throws {
    let expected = try Self.expected("tiny-llama")
    let text = try TextChunks(Self.ids(expected.required("ids")), context: 72, bos: 3840, limit: 2)
    let model = try Self.model("tiny-llama")
    let results = try Kernels.instructionSets.compactMap { name in
      try Kernels.using(name) {
        try Evaluation(text).perplexity(of: ForwardPass(model, jobs: 2, arithmetic: arithmetic))
      }
    }
    #expect(results.count == Kernels.instructionSets.count && Set(results).count == 1)
  }

  /// Eight bits of precision show, and no more than they should; one number of threads is as good as another.
  @Test func bf16IsNearF32() throws {
    let (text, model) = try (Self.shortText(), Self.model("tiny-llama"))
    let reference = try ForwardPass(model, jobs: 2)
    let walked = try Evaluation(text).drift(
      of: [ForwardPass(model, jobs: 1, arithmetic: .bf16, sharing: reference)], from: reference)[0]
    let one = walked.drift
    #expect(one.meanDivergence > 0 && one.meanDivergence < 1e-4)
    #expect(one.topOneAgreement > 0.98)
    #expect(walked.layers.map(\.state.relativeRMSError).allSatisfy { $0 > 1e-4 && $0 < 0x1p-7 })
    let two = try Evaluation(text, stateBytes: 1).drift(
      of: [ForwardPass(model, jobs: 2, arithmetic: .bf16)], from: ForwardPass(model, jobs: 1))[0].drift
    #expect(two.quantized == one.quantized)
  }

  @Test func productsAreCounted() throws {
    let (text, model) = try (Self.shortText(), Self.model("tiny-llama"))
    let pass = try ForwardPass(model, jobs: 2)
    #expect(pass.work.operations == 0)
    _ = try Evaluation(text).perplexity(of: pass)
    let p = model.parameters
    let weights = 2 * p.hiddenSize * (p.querySize + p.keyValueSize) + 3 * p.hiddenSize * p.feedForwardSize
    let linear =
      2 * text.count * (text.context * p.layerCount * weights + text.scored.count * p.hiddenSize * p.vocabularySize)
    // Attention is the rest: each query with no more than all keys and values.
    #expect(pass.work.operations > linear)
    #expect(pass.work.operations <= linear + 4 * text.count * p.layerCount * text.context * text.context * p.querySize)
    #expect(pass.work.seconds > 0 && pass.work.gigaflops.isFinite)
  }

  @Test func aModelDoesNotDriftFromItself() throws {
    let model = try Self.model("tiny-llama")
    let reference = try ForwardPass(model, jobs: 2)
    let walked = try Evaluation(Self.shortText()).drift(
      of: [ForwardPass(model, jobs: 2, sharing: reference)], from: reference)[0]
    let (drift, layers) = (walked.drift, walked.layers.map(\.state))
    #expect(drift.reference == drift.quantized)
    #expect(drift.logRatio == 0 && drift.meanDivergence == 0 && drift.topOneAgreement == 1)
    #expect(drift.divergencePercentiles([0, 0.5, 1]) == [0, 0, 0])
    #expect(layers.count == 6)
    #expect(layers.allSatisfy { $0.relativeRMSError == 0 && $0.cosine == 1 })
  }

  /// Fewer chunks than threads: several work on one. Groups of other sizes come before and after in the same buffers.
  @Test(arguments: ["tiny-llama", "forward/mistral", "forward/mixtral", "forward/biased"], [2, 3, 8])
  func severalThreadsOnOneChunkGiveTheSameBits(_ fixture: String, _ jobs: Int) throws {
    let model = try Self.model(fixture)
    let vocabulary = Int32(model.parameters.vocabularySize)
    func states(_ pass: ForwardPass, _ lengths: [Int]) throws -> [Float] {
      let states = try pass.embed(lengths.map { length in (0..<length).map { Int32($0 * 31 % 89) % vocabulary } })
      for layer in 0..<pass.layerCount { try pass.apply(layer: layer, to: states) }
      return states.matrix.view.values
    }
    let (one, several) = try (ForwardPass(model, jobs: 1), ForwardPass(model, jobs: jobs))
    for lengths in [[210], [97, 1], [5, 6, 7], [300], [1]] {
      #expect(try states(several, lengths) == states(one, lengths), "\(lengths)")
    }
  }

  /// A walk that ends early has found what one of the text's beginning finds, in groups of one chunk and in one group.
  @Test(arguments: [1, 1 << 30]) func aWalkEndsWhereItIsDecided(_ stateBytes: Int) throws {
    let model = try Self.model("tiny-llama")
    let changed = try model.replacing(AttributionTests.scaled("blk.3.ffn_up.weight", by: 1.02, in: model))
    let text = try Self.shortText()
    func walk(_ text: TextChunks, until isDecided: ([CandidateDrift]) -> Bool) throws -> CandidateDrift {
      let (reference, pass) = try (ForwardPass(model, jobs: 2), ForwardPass(changed, jobs: 2))
      return try Evaluation(text, stateBytes: stateBytes).drift(of: [pass], from: reference, until: isDecided)[0]
    }
    let part = try walk(text) { $0[0].drift.count == 2 * text.scored.count }
    let beginning = try walk(text.first(2)) { _ in false }
    #expect(text.count > 2 && part.drift.count == beginning.drift.count)
    #expect(part.drift.meanDivergence == beginning.drift.meanDivergence && part.drift.meanDivergence > 0)
    #expect(part.worst == beginning.worst)
    #expect(part.layers.map(\.state) == beginning.layers.map(\.state))
    #expect(part.drift.leastMeanDivergence(of: 4 * part.drift.count) == part.drift.meanDivergence / 4)
    let agreeing = part.drift.topOneAgreement
    #expect((part.drift.greatestTopOneAgreement(of: 2 * part.drift.count) - (agreeing + 1) / 2).magnitude < 1e-12)
  }

  /// The pass with every weight of one matrix scaled by 1.02.
  @Test func driftOfAChangedModelIsWhatItsLogitsSay() throws {
    let model = try Self.model("tiny-llama")
    let changed = try model.replacing(AttributionTests.scaled("blk.3.ffn_up.weight", by: 1.02, in: model))
    let text = try Self.shortText()
    let (reference, pass) = try (ForwardPass(model, jobs: 2), ForwardPass(changed, jobs: 2))
    let walked = try Evaluation(text, stateBytes: 1).drift(of: [pass], from: reference)[0]
    let (drift, layers) = (walked.drift, walked.layers.map(\.state))
    #expect(layers[0...2].allSatisfy { $0.relativeRMSError == 0 })
    #expect(layers[3].relativeRMSError > 1e-5 && layers[3].cosine < 1)

    // The same from log-softmax in F64, position by position.
    var (divergence, same, squares) = (0.0, 0, 0.0)
    let tiles = try [reference, pass].map { pass in
      let states = try pass.embed((0..<text.count).map(text.input))
      for layer in 0..<pass.layerCount { try pass.apply(layer: layer, to: states) }
      return try (0..<text.count).map { chunk in
        let tile = try Matrix(rows: text.scored.count, columns: pass.parameters.vocabularySize)
        try pass.logits(of: text.scored.map { states.chunks[chunk].lowerBound + $0 }, in: states, into: tile)
        return tile
      }
    }
    for chunk in 0..<text.count {
      for (row, position) in text.scored.enumerated() {
        let p = LogitMath.logSoftmax(tiles[0][chunk].view, row: row)
        let q = LogitMath.logSoftmax(tiles[1][chunk].view, row: row)
        divergence += zip(p, q).reduce(0) { $0 + LogLikelihood.probability(-$1.0) * ($1.0 - $1.1) }
        same += p.firstIndex(of: p.max()!) == q.firstIndex(of: q.max()!) ? 1 : 0
        let target = Int(text.target(chunk, after: position))
        let change = LogLikelihood.probability(-q[target]) - LogLikelihood.probability(-p[target])
        squares += change * change
      }
    }
    let count = Double(text.scoredCount)
    #expect(drift.count == text.scoredCount)
    #expect((drift.meanDivergence - divergence / count).magnitude < 1e-3 * divergence / count)
    #expect(drift.topOneAgreement == Double(same) / count)
    #expect((drift.rmsProbabilityChange - (squares / count).squareRoot()).magnitude < 1e-7)
    #expect((drift.logRatio - (drift.quantized.mean - drift.reference.mean)).magnitude < 1e-12)
  }

  @Test(arguments: [Int32(-1), 4096]) func aTokenOutsideTheVocabularyIsRefused(_ id: Int32) throws {
    let pass = try ForwardPass(Self.model("tiny-llama"), jobs: 1)
    let error = #expect(throws: InputError.self) { try pass.embed([[1, id]]) }
    #expect(error?.code == .bounds)
  }

  @Test func aWeightThatIsNoNumberIsFoundOut() throws {
    let model = try Self.model("forward/plain")
    let broken = try ModelSource(
      parameters: model.parameters,
      tensors: model.tensors.map { tensor in
        guard tensor.name == "blk.1.attn_v.weight" else { return tensor }
        let values = [Float](repeating: .nan, count: tensor.shape.elementCount)
        return try Tensor(name: tensor.name, dtype: .f32, shape: tensor.shape, source: MemoryRows(values))
      })
    let text = try TextChunks((0..<32).map { Int32($0) }, context: 16, bos: nil)
    let error = #expect(throws: InputError.self) {
      try Evaluation(text).perplexity(of: ForwardPass(broken, jobs: 1))
    }
    #expect(error?.code == .nonFinite)
  }

  @Test func modelsOfOtherSizesAreNotCompared() throws {
    let text = try TextChunks((0..<32).map { Int32($0) }, context: 16, bos: nil)
    let (a, b) = try (
      ForwardPass(Self.model("forward/plain"), jobs: 1), ForwardPass(Self.model("tiny-llama"), jobs: 1)
    )
    let error = #expect(throws: InputError.self) { try Evaluation(text).drift(of: [a], from: b) }
    #expect(error?.code == .shape)
  }
}

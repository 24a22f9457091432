import Bytes
import Models
import Tensors
import Testing

/// What one tensor does alone, measured for many in one walk, beside a walk of its own for each.
@Suite struct AttributionTests {
  /// Tensor `name` with every weight scaled.
  static func scaled(_ name: String, by factor: Float, in model: ModelSource) throws -> Tensor {
    let tensor = try #require(model[name])
    let bytes = try tensor.read(rows: 0..<tensor.rows)
    var values = [Float](repeating: 0, count: tensor.shape.elementCount)
    var span = values.mutableSpan
    unsafe BlockDecoder.decode(bytes.span.bytes, as: tensor.dtype, into: &span)
    return try Tensor(name: name, dtype: .f32, shape: tensor.shape, source: MemoryRows(values.map { $0 * factor }))
  }

  static let names = [
    "output.weight", "blk.1.ffn_down.weight", "blk.0.attn_q.weight", "token_embd.weight", "blk.1.attn_norm.weight",
    "blk.0.ffn_up.weight", "output_norm.weight",
  ]

  @Test(arguments: ["plain", "tied", "mixtral"], [1, 2, 20])
  func manyInOneWalkAreWhatEachIsAlone(_ fixture: String, _ room: Int) throws {
    let model = try ForwardPassTests.model("forward/\(fixture)")
    let vocabulary = Int32(model.parameters.vocabularySize)
    let text = try TextChunks((0..<24 * 3).map { Int32($0 * 17) % vocabulary }, context: 24, bos: 1)
    let replacements = try Self.names.map {
      $0 == "blk.0.ffn_up.weight" && fixture == "mixtral" ? "blk.0.ffn_up_exps.weight" : $0
    }.map { $0 == "blk.1.ffn_down.weight" && fixture == "mixtral" ? "blk.1.ffn_down_exps.weight" : $0 }
      .filter { model[$0] != nil }.map { try Self.scaled($0, by: 1.03, in: model) }
    let reference = try ForwardPass(model, jobs: 2)
    // The walk's own states are three times the text's.
    let slot = text.count * ForwardPass.stateBytes(model.parameters, tokens: text.context)
    let found = try Evaluation(text, stateBytes: (3 + room) * slot).divergences(of: replacements, in: reference)
    #expect(found.count == replacements.count)
    var told = [Double](repeating: -1, count: replacements.count)
    let inGroups = try Evaluation(text, stateBytes: (3 + room) * slot).divergences(
      of: replacements, in: reference, together: 2
    ) { for (number, divergence) in $0 { told[number] = divergence } }
    #expect(inGroups == found && told == found)
    for (tensor, value) in zip(replacements, found) {
      let alone = try Evaluation(text).drift(
        of: [ForwardPass(model.replacing(tensor), jobs: 2)], from: ForwardPass(model, jobs: 2))[0]
      #expect(value == alone.drift.meanDivergence, "\(tensor.name)")
    }
    #expect(found.contains { $0 > 1e-6 })
  }

  @Test func theSameTensorCausesNothing() throws {
    let model = try ForwardPassTests.model("forward/plain")
    let text = try TextChunks((0..<48).map { Int32($0 % 37) }, context: 24, bos: 1)
    let found = try Evaluation(text).divergences(of: model.tensors, in: ForwardPass(model, jobs: 1))
    #expect(found.allSatisfy { $0 == 0 })
  }

  @Test func lessRoomThanOneReplacementNeedsIsRefused() throws {
    let model = try ForwardPassTests.model("forward/plain")
    let text = try TextChunks((0..<48).map { Int32($0 % 37) }, context: 24, bos: 1)
    let room = 4 * text.count * ForwardPass.stateBytes(model.parameters, tokens: text.context)
    let error = #expect(throws: InputError.self) {
      try Evaluation(text, stateBytes: room - 1).divergences(of: model.tensors, in: ForwardPass(model, jobs: 1))
    }
    #expect(error?.code == .limit)
  }

  @Test func aReplacementOfNothingIsRefused() throws {
    let model = try ForwardPassTests.model("forward/plain")
    let text = try TextChunks((0..<48).map { Int32($0 % 37) }, context: 24, bos: 1)
    let stranger = try Tensor(
      name: "blk.99.attn_q.weight", dtype: .f32, shape: Shape([1, 4]), source: MemoryRows([1, 2, 3, 4] as [Float]))
    #expect(throws: InputError.self) {
      try Evaluation(text).divergences(of: [stranger], in: ForwardPass(model, jobs: 1))
    }
    let flat = try Tensor(
      name: "blk.0.attn_q.weight", dtype: .f32, shape: Shape([1, 4]), source: MemoryRows([1, 2, 3, 4] as [Float]))
    #expect(throws: InputError.self) {
      try Evaluation(text).divergences(of: [flat], in: ForwardPass(model, jobs: 1))
    }
  }
}

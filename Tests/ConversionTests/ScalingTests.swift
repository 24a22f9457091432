import Bytes
import Checkpoints
import Conversion
import Models
import Quantization
import Tensors
import TestSupport
import Testing

/// Channels scaled between layers.
@Suite struct ScalingTests {
  private static func model(_ folder: String) throws -> ModelSource {
    let checkpoint = try Checkpoint(opening: Fixtures.path(folder))
    return try ModelSource(config: #require(checkpoint.config).root, tensors: checkpoint.tensors)
  }

  private static func logits(_ model: ModelSource, _ ids: [Int32]) throws -> [Float] {
    let pass = try ForwardPass(model, jobs: 2)
    let states = try pass.embed([ids])
    for layer in 0..<pass.layerCount { try pass.apply(layer: layer, to: states) }
    let tile = try Matrix(rows: ids.count, columns: pass.parameters.vocabularySize)
    try pass.logits(of: Array(ids.indices), in: states, into: tile)
    return tile.view.values
  }

  private static func greatestDifference(_ a: [Float], _ b: [Float]) -> Float {
    let differences = zip(a, b).map { ($0 - $1).magnitude }
    return a.count != b.count || differences.contains { $0.isNaN } ? .nan : differences.max() ?? .nan
  }

  /// Factors from 1/8 to 8 that follow no pattern.
  private static func factors(_ count: Int, seed: Int) -> [Float] {
    var state = UInt64(truncatingIfNeeded: seed &* 0x9e37_79b9 &+ 1)
    return (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let power = Float(state >> 40) / Float(1 << 24) * 6 - 3
      let whole = Int(power.rounded(.down))
      return (power - Float(whole) + 1) * (whole < 0 ? 1 / Float(1 << -whole) : Float(1 << whole))
    }
  }

  private static let ids: [Int32] = (0..<48).map { Int32(($0 * 23 + 11) % 37) }

  /// Every place at once, groups of queries that share a head of keys and values, biases, tied and with rotary scaling.
  @Test(arguments: ["tiny-llama", "forward/plain", "forward/biased", "forward/tied", "forward/llama3"])
  func foldingLeavesTheLogits(_ folder: String) throws {
    let model = try ScalingTests.model(folder)
    let parameters = model.parameters
    var scales = ChannelScales()
    for layer in 0..<parameters.layerCount {
      for place in ChannelScales.Place.allCases {
        let count = place.channels(parameters)
        scales.set(place, layer: layer, ScalingTests.factors(count, seed: layer * 4 + place.rawValue), parameters)
      }
    }
    #expect(scales.count == parameters.layerCount * 4)
    let folded = try scales.fold(into: model)
    let (before, after) = (try ScalingTests.logits(model, Self.ids), try ScalingTests.logits(folded, Self.ids))
    let difference = ScalingTests.greatestDifference(before, after)
    #expect(difference < 1e-4)
    #expect(difference > 0, "nothing was folded")
  }

  /// The factors that are found, on the model that they are found for.
  @Test func whatIsFoundLeavesTheLogits() throws {
    let input = try ModelInput(opening: Fixtures.path("tiny-llama"))
    let text = try CalibrationText(
      [TextFile(reading: Fixtures.path("text/python-docs-calibrate.txt"))], for: input, tokens: 4096)
    let plan = try ConversionPlan(input, recipe: Recipe(.q4_K_M))
    let found = try [1, 3].map { jobs in
      try ScalingRun(input, plan, rounding: Converter.Rounding(), text: text, jobs: jobs).run()
    }
    #expect(found[0].scaled > 0 && found[0].error < 1)
    #expect(found[0].error == found[1].error && found[0].scaled == found[1].scaled)
    let logits = try found.map { try ScalingTests.logits($0.input.model, Self.ids) }
    #expect(logits[0] == logits[1])
    let difference = try ScalingTests.greatestDifference(ScalingTests.logits(input.model, Self.ids), logits[0])
    #expect(difference < 1e-4)
  }

  /// A norm is divided, columns are multiplied, importance is divided by the square: no logit shows a sign that is wrong in
  /// both.
  @Test func importanceFollowsTheInputs() throws {
    let model = try ScalingTests.model("forward/plain")
    var scales = ChannelScales()
    let size = model.parameters.hiddenSize
    scales.set(.attention, layer: 0, [Float](repeating: 2, count: size), model.parameters)
    var importance = ImportanceMatrix(file: "test")
    for name in ["blk.0.attn_k.weight", "blk.1.attn_k.weight"] {
      try importance.add(name, [Float](repeating: 3, count: size))
    }
    let folded = try scales.fold(into: importance)
    #expect(folded.entries["blk.0.attn_k.weight"] == [Float](repeating: 0.75, count: size))
    #expect(folded.entries["blk.1.attn_k.weight"] == [Float](repeating: 3, count: size))
    let norm = try #require(scales.fold(into: model)["blk.0.attn_norm.weight"])
    let original = try #require(model["blk.0.attn_norm.weight"])
    #expect(norm.dtype == .f32)
    #expect(try original.read(rows: 0..<1) != norm.read(rows: 0..<1))
  }
}

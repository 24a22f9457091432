import Bytes
import Models
import Tensors
import TestSupport
import Testing

/// Walks that end between two layers, and others that go on from there.
@Suite struct DriftKeeperTests {
  /// Ends a walk after so many layers.
  private final class Keeper: DriftKeeper {
    struct Ended: Error {}

    private var layersLeft: Int
    private var kept: (progress: DriftProgress, states: [HiddenStates])?

    init(after layers: Int, from other: Keeper? = nil) { (layersLeft, kept) = (layers, other?.kept) }

    func progress() -> DriftProgress? { kept?.progress }

    func restore(_ states: [HiddenStates]) {
      for (to, from) in zip(states, kept?.states ?? []) {
        #expect(to.chunks == from.chunks)
        for rows in to.chunks { to.matrix[rows].copy(from.matrix[rows]) }
      }
    }

    func layerEnded(_ progress: () -> DriftProgress, _ states: [HiddenStates]) throws {
      layersLeft -= 1
      guard layersLeft == 0 else { return }
      kept = (progress(), try states.map { try $0.copy() })
      throw Ended()
    }
  }

  /// In one group, and chunk by chunk: ended in the first group and in later ones, once and twice, the walk finds the same.
  @Test(arguments: [1, 1 << 30], [1, 5, 6, 7, 13])
  func aWalkThatGoesOnFindsTheSame(_ stateBytes: Int, _ layers: Int) throws {
    let model = try ForwardPassTests.model("tiny-llama")
    let changed = try [1.02, 0.9].map {
      try model.replacing(AttributionTests.scaled("blk.3.ffn_up.weight", by: $0, in: model))
    }
    let text = try ForwardPassTests.shortText()
    #expect(text.count > 2)
    func walk(_ keeper: Keeper?) throws -> [CandidateDrift] {
      let reference = try ForwardPass(model, jobs: 2)
      return try Evaluation(text, stateBytes: stateBytes).drift(
        of: changed.map { try ForwardPass($0, jobs: 2) }, from: reference, keeper: keeper)
    }
    let whole = try walk(nil)
    // In one group there are no more layers than the model has.
    let first = Keeper(after: stateBytes == 1 ? layers : min(layers, 4))
    #expect(throws: Keeper.Ended.self) { try walk(first) }
    let second = Keeper(after: 2, from: first)
    #expect(throws: Keeper.Ended.self) { try walk(second) }
    let walked = try walk(Keeper(after: .max, from: second))
    for (one, other) in zip(whole, walked) {
      #expect(one.drift.divergences == other.drift.divergences && one.drift.count == other.drift.count)
      #expect(one.drift.meanDivergence == other.drift.meanDivergence)
      #expect(one.drift.quantized.perplexity == other.drift.quantized.perplexity)
      #expect(one.drift.logRatioStandardError == other.drift.logRatioStandardError)
      #expect(one.worst == other.worst)
      #expect(one.layers.map(\.state) == other.layers.map(\.state))
      #expect(one.layers.map(\.added) == other.layers.map(\.added))
    }
  }
}

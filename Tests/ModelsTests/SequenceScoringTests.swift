import Bytes
import Models
import Tensors
import TestSupport
import Testing

@Suite struct SequenceScoringTests {
  /// Sequences of 1 to 300 tokens, with targets here and there, more than two tiles of them.
  private static func sequences(vocabulary: Int = 4096) -> [TokenSequence] {
    var generator = SeededGenerator(seed: 5)
    return [1, 300, 7, 300, 64, 2, 250, 250, 290, 33].map { length in
      func token() -> Int32 { Int32.random(in: 0..<Int32(vocabulary), using: &generator) }
      var sequence = TokenSequence((0..<length).map { _ in token() })
      let first = Int.random(in: 0..<length, using: &generator)
      sequence.ask((first..<length).map { .init(position: $0, token: token()) })
      sequence.ask([.init(position: length - 1, token: token())])
      return sequence
    }
  }

  @Test func likelihoodsAreThoseOfEachSequenceAlone() throws {
    let pass = try ForwardPass(ForwardPassTests.model("tiny-llama"), jobs: 2)
    let sequences = Self.sequences()
    #expect(sequences.reduce(0) { $0 + $1.scored.count } > ForwardPass.rowsPerTile)
    let together = try SequenceScoring(sequences).logLikelihoods(of: pass)
    #expect(together.map(\.count) == sequences.map(\.targets.count))
    let tile = try Matrix(rows: ForwardPass.rowsPerTile, columns: pass.parameters.vocabularySize)
    for (sequence, found) in zip(sequences, together) {
      let states = try pass.embed([sequence.input])
      for layer in 0..<pass.layerCount { try pass.apply(layer: layer, to: states) }
      try pass.logits(of: 0..<sequence.input.count, in: states, into: tile)
      for (target, value) in zip(sequence.targets, found) {
        let expected = LogitMath.logSoftmax(tile.view, row: target.position)[Int(target.token)]
        #expect((value - expected).magnitude < 2e-5)
      }
    }
  }

  @Test(arguments: [(1, 1), (2, 1 << 30), (3, 600 * 256 * 4)])
  func anyNumberOfThreadsAndAnyBudgetGiveTheSameBits(_ jobs: Int, _ stateBytes: Int) throws {
    let model = try ForwardPassTests.model("tiny-llama")
    let alone = try SequenceScoring(Self.sequences()).logLikelihoods(of: ForwardPass(model, jobs: 1))
    let other = try SequenceScoring(Self.sequences(), stateBytes: stateBytes)
      .logLikelihoods(of: ForwardPass(model, jobs: jobs))
    #expect(alone == other)
  }

  @Test func progressEndsAtItsTotal() throws {
    var last = (done: 0, total: 0)
    let pass = try ForwardPass(ForwardPassTests.model("forward/plain"), jobs: 1)
    let sequences = Self.sequences(vocabulary: 37)
    _ = try SequenceScoring(sequences, stateBytes: 1) { last = ($0, $1) }.logLikelihoods(of: pass)
    #expect(last == (sequences.count * 3, sequences.count * 3))
  }

  @Test(arguments: [Int32(-1), 4096]) func aTargetOutsideTheVocabularyIsRefused(_ id: Int32) throws {
    let pass = try ForwardPass(ForwardPassTests.model("tiny-llama"), jobs: 1)
    var sequence = TokenSequence([1, 2, 3])
    sequence.ask([.init(position: 1, token: id)])
    let error = #expect(throws: InputError.self) { try SequenceScoring([sequence]).logLikelihoods(of: pass) }
    #expect(error?.code == .bounds)
  }
}

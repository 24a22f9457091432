import Bytes
import Models
import Testing

@Suite struct StatisticsTests {
  @Test func chunksFollowTheRuleOfLlamaCpp() throws {
    let text = try TextChunks((0..<1100).map { Int32($0) }, context: 512, bos: 7)
    #expect(text.count == 2)
    #expect(text.scored == 256..<511)
    #expect(text.scoredCount == 510)
    #expect(text.input(1) == [7] + (513..<1024))
    #expect(text.target(1, after: 510) == 1023)
    #expect(try TextChunks((0..<1100).map { Int32($0) }, context: 512, bos: nil).input(1).first == 512)
    #expect(try TextChunks((0..<1100).map { Int32($0) }, context: 512, bos: nil, limit: 1).count == 1)
    #expect(try TextChunks((0..<15).map { Int32($0) }, context: 7, bos: nil).scored == 3..<6)
  }

  @Test(arguments: [(1023, 512), (0, 512), (100, 3), (100, -1), (100, .max)])
  func aTextOfLessThanTwoChunksIsRefused(_ count: Int, _ context: Int) {
    let error = #expect(throws: InputError.self) {
      try TextChunks((0..<count).map { Int32($0) }, context: context, bos: nil)
    }
    #expect(error?.code == .limit)
  }

  /// Values that numpy gives: mean 2, population variance 2/3 over [1, 2, 3].
  @Test func likelihoodsAreSummedAsLlamaCppDoes() {
    var values = LogLikelihood()
    for value in [1.0, 2, 3] { values.add(value) }
    #expect((values.perplexity - 7.38905609893065).magnitude < 1e-12)
    #expect((values.standardError - 7.38905609893065 * (2.0 / 3 / 2).squareRoot()).magnitude < 1e-12)
    #expect(LogLikelihood().perplexity.isNaN)
  }

  @Test func percentilesAreInterpolated() {
    var drift = Drift()
    for value in [0.4, 0.1, 0.2, 0.8] {
      drift.add(TokenDrift(reference: 1, quantized: 1, divergence: value, referenceChoice: 0, quantizedChoice: 0))
    }
    let found = drift.divergencePercentiles([0, 0.25, 0.5, 1])
    for (a, b) in zip(found, [0.1, 0.175, 0.3, 0.8]) { #expect((a - b).magnitude < 1e-6) }
    #expect(Drift().divergencePercentiles([0.5])[0].isNaN)
  }
}

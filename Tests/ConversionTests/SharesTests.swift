import Conversion
import Quantization
import TestSupport
import Testing

/// Into what parts an output is cut for tasks.
@Suite struct SharesTests {
  private func plan(_ limits: SplitLimits = .none) throws -> ConversionPlan {
    try ConversionPlan(
      ModelInput(opening: Fixtures.path("tiny-llama")), recipe: Recipe(fileType: "Q4_K_M"), limits: limits)
  }

  @Test(arguments: [1, 2, 3, 8, 40, 1000], [false, true])
  func sharesJoinToTheOutput(_ count: Int, _ withFeedback: Bool) throws {
    let plan = try plan()
    let shares = plan.shares(count, withFeedback: withFeedback)
    #expect((1...count).contains(shares.count))
    #expect(shares.first?.lowerBound == 0 && shares.last?.upperBound == plan.fileBytes)
    #expect(zip(shares, shares.dropFirst()).allSatisfy { $0.upperBound == $1.lowerBound })
    #expect(shares.allSatisfy { !$0.isEmpty })
  }

  @Test(arguments: [2, 3, 8, 40]) func aBlockThatIsRoundedWithFeedbackIsOfOneShare(_ count: Int) throws {
    let plan = try plan()
    let blocks = plan.shares(count, withFeedback: true).flatMap { Array(plan.blocks(within: $0)) }
    #expect(blocks == [0, 1, 2, 3, 4, 5])
    let positions = plan.shares(count, withFeedback: true).dropFirst().map(\.lowerBound)
    let inside = plan.entries.indices.dropFirst().filter { index in
      let (layer, former) = (plan.entries[index].source.name, plan.entries[index - 1].source.name)
      return layer.hasPrefix("blk.") && layer.prefix(6) == former.prefix(6)
    }
    #expect(inside.allSatisfy { !positions.contains(plan.entries[$0].offset) })
  }

  /// Work is shared about evenly: no part of a few has twice its due.
  @Test(arguments: [2, 3, 4, 8]) func sharesAreOfAboutTheSameSize(_ count: Int) throws {
    let plan = try plan()
    let shares = plan.shares(count, withFeedback: false)
    #expect(shares.count == count)
    #expect(shares.allSatisfy { $0.count < 2 * plan.fileBytes / count })
  }

  @Test(arguments: [2, 3]) func aSetIsCutBetweenItsFilesWhereThereAreEnough(_ count: Int) throws {
    let plan = try plan(SplitLimits(maximumTensors: 15))
    #expect(plan.layouts.count == 4)
    let ends = plan.layouts.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1.fileSize) }
    let shares = plan.shares(count, withFeedback: false)
    #expect(shares.count == count && shares.allSatisfy { ends.contains($0.lowerBound) })
    #expect(plan.shares(9, withFeedback: false).count == 9)
  }
}

import Quantization
import Tensors
import Foundation
import Testing

/// Types for tensors within a number of bytes.
@Suite struct AllocationTests {
  private static let types: [DType] = [.q2_K, .q3_K, .q4_K, .q5_K, .q6_K]

  /// Tensors of random sizes whose loss falls about four times a bit.
  private static func tensors(_ count: Int, seed: UInt64) -> [[Allocation.Choice]] {
    var state = seed
    func random() -> Double {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Double(state >> 40) / Double(1 << 24)
    }
    return (0..<count).map { _ in
      let (size, weight) = (1 + Int(random() * 40), 0.1 + random() * 10)
      return types.enumerated().map { bits, type in
        let error = weight / (1 << (2 * bits) as Int).asDouble * (0.7 + 0.6 * random())
        return Allocation.Choice(type: type, bytes: size * (84 + 30 * bits), loss: error)
      }
    }
  }

  /// Held against every combination there is.
  @Test(arguments: 1...20) func isTheBestThatFits(_ seed: UInt64) throws {
    let tensors = AllocationTests.tensors(6, seed: seed)
    let least = tensors.reduce(0) { $0 + $1[0].bytes }
    let most = tensors.reduce(0) { $0 + $1[4].bytes }
    for part in [0.1, 0.35, 0.5, 0.8] {
      let budget = least + Int(Double(most - least) * part)
      let solved = try #require(Allocation(tensors, budget: budget))
      #expect(solved.bytes <= budget)
      #expect(solved.bytes == zip(tensors, solved.chosen).reduce(0) { $0 + $1.0[$1.1].bytes })
      var best = Double.infinity
      for code in 0..<15625 {
        var (rest, bytes, loss) = (code, 0, 0.0)
        for tensor in tensors {
          bytes += tensor[rest % 5].bytes
          loss += tensor[rest % 5].loss
          rest /= 5
        }
        if bytes <= budget { best = min(best, loss) }
      }
      #expect(abs(solved.loss - best) <= best * 1e-12)
    }
  }

  /// Sizes without a common divisor and more of them than are told apart: still fits, and hardly worse.
  @Test func manyAwkwardSizesFit() throws {
    let tensors = AllocationTests.tensors(600, seed: 3).map { choices in
      choices.map { Allocation.Choice(type: $0.type, bytes: $0.bytes * 99_991 + 1, loss: $0.loss) }
    }
    let least = tensors.reduce(0) { $0 + $1[0].bytes }
    let most = tensors.reduce(0) { $0 + $1[4].bytes }
    let budget = (least + most) / 2
    let solved = try #require(Allocation(tensors, budget: budget))
    #expect(solved.bytes <= budget)
    // No fraction of choices does better than the relaxation's bound: least over all rates of loss + rate * (bytes - budget).
    var bound = -Double.infinity
    for step in -4000...0 {
      let rate = exp2(Double(step) / 40)
      let sum = tensors.reduce(0.0) { total, choices in
        total + choices.reduce(Double.infinity) { min($0, $1.loss + rate * Double($1.bytes)) }
      }
      bound = max(bound, sum - rate * Double(budget))
    }
    #expect(bound > 0 && solved.loss <= bound * 1.002)
  }

  @Test func whatDoesNotFitIsRefused() {
    let tensors = AllocationTests.tensors(3, seed: 1)
    let least = tensors.reduce(0) { $0 + $1[0].bytes }
    #expect(Allocation(tensors, budget: least - 1) == nil)
    #expect(Allocation(tensors, budget: least)?.chosen == [0, 0, 0])
    #expect(Allocation(tensors, budget: .max / 2)?.chosen == [4, 4, 4])
  }

  /// A type that is larger and no better is never taken.
  @Test func whatGainsNothingIsNotBought() {
    let choices = [
      Allocation.Choice(type: .q4_0, bytes: 100, loss: 1), Allocation.Choice(type: .iq4_NL, bytes: 120, loss: 2),
      Allocation.Choice(type: .q5_0, bytes: 150, loss: 0.5),
    ]
    #expect(Allocation([choices], budget: 130)?.chosen == [0])
    #expect(Allocation([choices], budget: 150)?.chosen == [2])
  }
}

extension Int {
  fileprivate var asDouble: Double { Double(self) }
}

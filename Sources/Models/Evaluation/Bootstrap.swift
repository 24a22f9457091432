/// How far an estimate may lie from what an endless text would give, found by drawing the text's chunks again and again
/// (Efron's bootstrap, over blocks since the tokens of a chunk are not independent of one another).
public struct BootstrapEstimate: Hashable, Sendable {
  /// Standard deviation of the estimates.
  public var standardError: Double
  /// Of the estimates 2.5 % are below `low` and 2.5 % above `high`.
  public var low: Double
  public var high: Double
}

extension Drift {
  /// Texts that are drawn.
  private static let resamples = 2000

  /// For `logRatio` and `meanDivergence`, from the same draws; `nil` of fewer than two chunks. The seed is fixed, so that the
  /// same text gives the same numbers.
  public var bootstrap: (logRatio: BootstrapEstimate, meanDivergence: BootstrapEstimate)? {
    guard blocks.count > 1 else { return nil }
    var generator = SplitMix64(state: 0x7175_6572_6E21)
    var (ratios, divergences): ([Double], [Double]) = ([], [])
    for _ in 0..<Drift.resamples {
      var sum = Block()
      for _ in blocks.indices {
        let block = blocks[Int(generator.next(below: UInt64(blocks.count)))]
        sum.count += block.count
        sum.difference += block.difference
        sum.divergence += block.divergence
      }
      ratios.append(sum.difference / Double(sum.count))
      divergences.append(sum.divergence / Double(sum.count))
    }
    return (BootstrapEstimate(ratios), BootstrapEstimate(divergences))
  }
}

extension BootstrapEstimate {
  fileprivate init(_ values: [Double]) {
    let mean = values.reduce(0, +) / Double(values.count)
    let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    let sorted = values.sorted()
    let cut = values.count / 40
    standardError = (squares / Double(max(1, values.count - 1))).squareRoot()
    (low, high) = (sorted[cut], sorted[values.count - 1 - cut])
  }
}

/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
private struct SplitMix64 {
  var state: UInt64

  mutating func next(below bound: UInt64) -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return (z ^ (z >> 31)).multipliedFullWidth(by: bound).high
  }
}

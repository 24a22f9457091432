/// What one predicted token shows of two models.
public struct TokenDrift: Hashable, Sendable {
  /// `-ln p` of the token that came, under the reference and under the model compared with it.
  public var reference: Double
  public var quantized: Double
  /// `Σ p ln(p / q)` over the vocabulary: p the reference, q the other; in nats.
  public var divergence: Double
  /// Whether both would have chosen the same token.
  public var sameChoice: Bool

  public init(reference: Double, quantized: Double, divergence: Double, sameChoice: Bool) {
    (self.reference, self.quantized) = (reference, quantized)
    (self.divergence, self.sameChoice) = (divergence, sameChoice)
  }
}

/// How far a model is from its reference over many predicted tokens. Parts of a text may be gathered apart and merged.
public struct Drift: Sendable {
  public private(set) var reference = LogLikelihood()
  public private(set) var quantized = LogLikelihood()
  private var difference = (sum: 0.0, squares: 0.0)
  private var divergence = (sum: 0.0, squares: 0.0)
  private var divergences: [Float] = []
  private var sameChoices = 0
  private var probability = (sum: 0.0, squares: 0.0)

  public init() {}

  public var count: Int { divergences.count }

  public mutating func add(_ token: TokenDrift) {
    reference.add(token.reference)
    quantized.add(token.quantized)
    let ratio = token.quantized - token.reference
    difference.sum += ratio
    difference.squares += ratio * ratio
    divergence.sum += token.divergence
    divergence.squares += token.divergence * token.divergence
    divergences.append(Float(token.divergence))
    if token.sameChoice { sameChoices += 1 }
    let change = LogLikelihood.probability(token.quantized) - LogLikelihood.probability(token.reference)
    probability.sum += change
    probability.squares += change * change
  }

  public mutating func merge(_ other: Drift) {
    reference.merge(other.reference)
    quantized.merge(other.quantized)
    difference = (difference.sum + other.difference.sum, difference.squares + other.difference.squares)
    divergence = (divergence.sum + other.divergence.sum, divergence.squares + other.divergence.squares)
    divergences += other.divergences
    sameChoices += other.sameChoices
    probability = (probability.sum + other.probability.sum, probability.squares + other.probability.squares)
  }

  // MARK: Estimates. All are NaN of nothing.

  /// `ln(perplexity of the quantized / perplexity of the reference)`.
  public var logRatio: Double { difference.sum / Double(count) }
  /// Of `logRatio`, from the paired differences.
  public var logRatioStandardError: Double { Statistics.standardError(difference.sum, difference.squares, count) }

  /// Mean Kullback-Leibler divergence from the reference's full-precision logits, in nats.
  public var meanDivergence: Double { divergence.sum / Double(count) }
  public var meanDivergenceStandardError: Double {
    Statistics.standardError(divergence.sum, divergence.squares, count)
  }

  /// Percentiles of the divergence, each by linear interpolation between the two nearest values.
  /// - Parameter fractions: from 0, the least, to 1, the greatest; 0.5 is the median.
  public func divergencePercentiles(_ fractions: [Double]) -> [Double] {
    let sorted = divergences.sorted()
    return fractions.map { fraction in
      guard let last = sorted.last else { return .nan }
      let place = max(0, fraction) * Double(sorted.count - 1)
      let index = Int(place)
      guard index + 1 < sorted.count else { return Double(last) }
      let part = place - Double(index)
      return (1 - part) * Double(sorted[index]) + part * Double(sorted[index + 1])
    }
  }

  /// How many divergences lie in each of `edges`' intervals: from each edge, to below the next.
  /// - Parameter edges: ascending.
  public func divergenceCounts(between edges: [Double]) -> [Int] {
    var counts = [Int](repeating: 0, count: max(0, edges.count - 1))
    for value in divergences {
      var (low, high) = (0, edges.count)
      while low < high {
        let middle = (low + high) / 2
        if Double(value) < edges[middle] { high = middle } else { low = middle + 1 }
      }
      if low > 0, low < edges.count { counts[low - 1] += 1 }
    }
    return counts
  }

  /// The share of positions where both would choose the same token.
  public var topOneAgreement: Double { Double(sameChoices) / Double(count) }
  /// Of a share of so many trials: `sqrt(p (1 - p) / (n - 1))`.
  public var topOneStandardError: Double {
    count > 1 ? (topOneAgreement * (1 - topOneAgreement) / Double(count - 1)).squareRoot() : 0
  }

  /// Mean change of the probability of the token that came.
  public var meanProbabilityChange: Double { probability.sum / Double(count) }
  public var rmsProbabilityChange: Double { (probability.squares / Double(count)).squareRoot() }
}

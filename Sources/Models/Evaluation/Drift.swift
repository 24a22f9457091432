/// How far a model is from its reference over many predicted tokens. Parts of a text may be gathered apart and merged.
public struct Drift: Sendable {
  public private(set) var reference = LogLikelihood()
  public private(set) var quantized = LogLikelihood()
  /// Of every token, in their order: the divergence, and the change of the probability of the token that came.
  public private(set) var divergences: [Float] = []
  public private(set) var probabilityChanges: [Float] = []
  private var difference = (sum: 0.0, squares: 0.0)
  private var divergence = (sum: 0.0, squares: 0.0)
  private var sameChoices = 0
  private var probability = (sum: 0.0, squares: 0.0, fourthPowers: 0.0)
  private var products = 0.0
  private(set) var blocks: [Block] = []
  private var open = Block()

  /// Sums over tokens that belong together.
  struct Block: Sendable {
    var count = 0
    var difference = 0.0
    var divergence = 0.0
  }

  public init() {}

  public var count: Int { divergences.count }

  public mutating func add(_ token: TokenDrift) {
    reference.add(token.reference)
    quantized.add(token.quantized)
    products += token.reference * token.quantized
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
    probability.fourthPowers += change * change * change * change
    probabilityChanges.append(Float(change))
    open.count += 1
    open.difference += ratio
    open.divergence += token.divergence
  }

  /// The tokens added since the last call are a block: a chunk of text, whose tokens are not independent.
  public mutating func endBlock() {
    if open.count > 0 { blocks.append(open) }
    open = Block()
  }

  // MARK: Bounds

  /// What the mean divergence is at least when `count` tokens are scored in all.
  public func leastMeanDivergence(of count: Int) -> Double { divergence.sum / Double(count) }

  /// What the agreement is at most then.
  public func greatestTopOneAgreement(of count: Int) -> Double {
    Double(sameChoices + max(0, count - self.count)) / Double(count)
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

  /// Of the two `-ln p` over all tokens (Pearson's): llama-perplexity's Cor(ln(PPL(Q)), ln(PPL(base))).
  public var correlation: Double {
    let covariance = products / Double(count) - reference.mean * quantized.mean
    return covariance / (reference.variance * quantized.variance).squareRoot()
  }

  /// Percentiles of the divergence, each by linear interpolation between the two nearest values.
  /// - Parameter fractions: from 0, the least, to 1, the greatest; 0.5 is the median.
  public func divergencePercentiles(_ fractions: [Double]) -> [Double] {
    Statistics.percentiles(divergences, fractions)
  }

  /// The same of the change of the probability of the token that came.
  public func probabilityChangePercentiles(_ fractions: [Double]) -> [Double] {
    Statistics.percentiles(probabilityChanges, fractions)
  }

  /// The share of positions where both would choose the same token.
  public var topOneAgreement: Double { Double(sameChoices) / Double(count) }
  /// Of a share of so many trials: `sqrt(p (1 - p) / (n - 1))`.
  public var topOneStandardError: Double {
    count > 1 ? (topOneAgreement * (1 - topOneAgreement) / Double(count - 1)).squareRoot() : 0
  }

  /// Mean change of the probability of the token that came.
  public var meanProbabilityChange: Double { probability.sum / Double(count) }
  public var meanProbabilityChangeStandardError: Double {
    Statistics.standardError(probability.sum, probability.squares, count)
  }
  public var rmsProbabilityChange: Double { (probability.squares / Double(count)).squareRoot() }
  /// Of a root: the error of the mean square over twice the root; 0 when nothing changed.
  public var rmsProbabilityChangeStandardError: Double {
    let rms = rmsProbabilityChange
    return rms > 0 ? Statistics.standardError(probability.squares, probability.fourthPowers, count) / (2 * rms) : 0
  }
}

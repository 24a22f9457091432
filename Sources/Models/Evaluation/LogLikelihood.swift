#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Negative log-likelihoods of tokens, as sums.
public struct LogLikelihood: Hashable, Sendable {
  public private(set) var count = 0
  private var sum = 0.0
  private var sumOfSquares = 0.0

  public init() {}

  /// - Parameter value: `-ln p` of a token that came.
  public mutating func add(_ value: Double) {
    count += 1
    sum += value
    sumOfSquares += value * value
  }

  /// Mean of `-ln p`; NaN of nothing.
  public var mean: Double { sum / Double(count) }

  /// Mean square of the distance from the mean; NaN of nothing.
  var variance: Double { max(0, sumOfSquares / Double(count) - mean * mean) }

  /// `e^mean`.
  public var perplexity: Double { exp(mean) }

  /// Of the perplexity: `perplexity · sqrt(variance / (count - 1))`, as llama.cpp prints it; 0 below two values.
  public var standardError: Double { perplexity * Statistics.standardError(sum, sumOfSquares, count) }
}

extension LogLikelihood {
  /// The probability whose `-ln` is `value`.
  package static func probability(_ value: Double) -> Double { exp(-value) }
}

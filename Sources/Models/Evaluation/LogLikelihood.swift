#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Negative log-likelihoods of tokens, as mergeable sums.
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

  public mutating func merge(_ other: LogLikelihood) {
    count += other.count
    sum += other.sum
    sumOfSquares += other.sumOfSquares
  }

  /// Mean of `-ln p`; NaN of nothing.
  public var mean: Double { sum / Double(count) }

  /// `e^mean`.
  public var perplexity: Double { exp(mean) }

  /// Of the perplexity: `perplexity · sqrt(variance / (count - 1))`, as llama.cpp prints it; 0 below two values.
  public var standardError: Double { perplexity * Statistics.standardError(sum, sumOfSquares, count) }
}

/// Estimates from sums, in the forms that llama-perplexity uses.
enum Statistics {
  /// Standard error of a mean: `sqrt((Σx²/n - mean²) / (n - 1))`.
  static func standardError(_ sum: Double, _ sumOfSquares: Double, _ count: Int) -> Double {
    guard count > 1 else { return 0 }
    let mean = sum / Double(count)
    let variance = sumOfSquares / Double(count) - mean * mean
    return variance > 0 ? (variance / Double(count - 1)).squareRoot() : 0
  }
}

extension LogLikelihood {
  /// The probability whose `-ln` is `value`.
  package static func probability(_ value: Double) -> Double { exp(-value) }
}

/// Estimates from sums, in the forms that llama-perplexity uses.
enum Statistics {
  /// Standard error of a mean: `sqrt((Σx²/n - mean²) / (n - 1))`.
  static func standardError(_ sum: Double, _ sumOfSquares: Double, _ count: Int) -> Double {
    guard count > 1 else { return 0 }
    let mean = sum / Double(count)
    let variance = sumOfSquares / Double(count) - mean * mean
    return variance > 0 ? (variance / Double(count - 1)).squareRoot() : 0
  }

  /// By linear interpolation between the two nearest values; NaN of nothing.
  static func percentiles(_ values: [Float], _ fractions: [Double]) -> [Double] {
    let sorted = values.sorted()
    return fractions.map { fraction in
      guard let last = sorted.last else { return .nan }
      let place = max(0, fraction) * Double(sorted.count - 1)
      let index = Int(place)
      guard index + 1 < sorted.count else { return Double(last) }
      let part = place - Double(index)
      return (1 - part) * Double(sorted[index]) + part * Double(sorted[index + 1])
    }
  }
}

/// How much an error of each value counts, where the importance of its column is given: importance · √(σ² + x²).
enum ErrorWeights {
  /// σ² of a row or super-block, `multiple` · Σ x² / count. Every step is rounded in this order, which shows where a sum
  /// overflows or a square is denormal.
  static func variance(_ x: Span<Float>, times multiple: Float = 1) -> Float {
    var sum: Float = 0
    for i in x.indices { sum += x[i] * x[i] }
    return multiple * sum / Float(x.count)
  }

  /// The weights of a group of up to 32.
  static func weights(_ x: Span<Float>, _ importance: Span<Float>, _ variance: Float) -> InlineArray<32, Float> {
    var weights = InlineArray<32, Float>(repeating: 0)
    for i in x.indices { weights[i] = importance[i] * (variance + x[i] * x[i]).squareRoot() }
    return weights
  }

  /// The same where `importance`, of a row, is given; else x² + `base`.
  /// - Parameter at: where in the row the group begins.
  static func weights(
    _ x: Span<Float>, _ importance: Span<Float>?, at: Int, _ variance: Float, base: Float = 0
  ) -> InlineArray<32, Float> {
    if let importance { return weights(x, importance.extracting(at..<at + x.count), variance) }
    var weights = InlineArray<32, Float>(repeating: 0)
    for i in x.indices { weights[i] = base + x[i] * x[i] }
    return weights
  }
}

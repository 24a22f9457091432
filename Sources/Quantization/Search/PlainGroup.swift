import Tensors

/// Groups of symmetric four-bit integers, −8 to 7, with a scale that is a half and nothing else.
package enum PlainGroup {
  /// The scale, of either sign, with which the weighted squared error of `x` is least among some: the extreme value on a
  /// level from 7.1 to 8.9 of either end, then least squares for the integers that it gives.
  /// - Returns: a half; 0 where nothing weighs or nothing fits.
  static func scale(_ x: Span<Float>, weights: Span<Float>) -> Float {
    var extreme: Float = 0
    for i in x.indices where x[i].magnitude > extreme.magnitude { extreme = x[i] }
    guard extreme != 0 else { return 0 }
    var (best, gain): (Float, Float) = (0, 0)
    for end: Float in [-1, 1] {
      for step in -9...9 {
        let inverse = end * (8 + 0.1 * Float(step)) / extreme
        var (xl, ll): (Float, Float) = (0, 0)
        for i in x.indices {
          let level = max(-8, min(7, (inverse * x[i]).rounded(.toNearestOrEven)))
          xl += weights[i] * x[i] * level
          ll += weights[i] * level * level
        }
        // Σ w x² − Σ w (x − d l)² at the best d.
        if ll > 0, xl * xl > gain * ll { (best, gain) = (xl / ll, xl * xl / ll) }
      }
    }
    let stored = Half.float(Half.bits(best))
    return stored.isFinite ? stored : 0
  }
}

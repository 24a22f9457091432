/// Searches for the scale (and minimum) of a group of weights.
///
/// Each follows ggml's arithmetic operation by operation, because the bytes depend on the order: `w·l·x` is `(w·l)·x` in one
/// and `(w·x)·l` in another. None may be contracted or reassociated, and Swift does neither.
enum ScaleSearch {
  /// Levels of a group of up to 32.
  typealias Levels = InlineArray<32, UInt8>

  /// x ≈ scale · (l − n), l in 0..<2n (`make_qx_quants` with `rmse_type` 1).
  ///
  /// The first candidate maps the value of largest magnitude to −n, eighteen more move that end by tenths; each is scored
  /// by the weighted least-squares fit of the scale.
  /// - Parameter weights: of each value; x² when there are none.
  static func symmetric(_ x: Span<Float>, levels n: Int32, weights: Span<Float>?, into levels: inout Levels) -> Float {
    var (maximum, magnitude): (Float, Float) = (0, 0)
    for i in x.indices where x[i].magnitude > magnitude { (maximum, magnitude) = (x[i], x[i].magnitude) }
    guard magnitude >= Rounding.groupEpsilon else {
      for i in x.indices { levels[i] = 0 }
      return 0
    }

    func fit(_ inverse: Float) -> (xl: Float, ll: Float) {
      var (sumXL, sumLL): (Float, Float) = (0, 0)
      for i in x.indices {
        let l = Float(Rounding.nearest(inverse * x[i], in: -n...n - 1))
        let w: Float
        if let weights { w = weights[i] } else { w = x[i] * x[i] }
        sumXL += w * x[i] * l
        sumLL += w * l * l
      }
      return (sumXL, sumLL)
    }

    var inverse = Float(-n) / maximum
    let first = fit(inverse)
    var scale = first.ll != 0 ? first.xl / first.ll : 0
    var best = scale * first.xl
    for step in -9...9 where step != 0 {
      let candidate = -(Float(n) + 0.1 * Float(step)) / maximum
      let (sumXL, sumLL) = fit(candidate)
      if sumLL > 0 && sumXL * sumXL > best * sumLL {
        inverse = candidate
        scale = sumXL / sumLL
        best = scale * sumXL
      }
    }
    for i in x.indices {
      levels[i] = UInt8(truncatingIfNeeded: n + Rounding.nearest(inverse * x[i], in: -n...n - 1))
    }
    return scale
  }

  /// x ≈ scale · l − minimum, l in 0...n (`make_qkx2_quants` and `make_qkx3_quants`).
  ///
  /// - Parameters:
  ///   - from, by, steps: candidates for the number of levels that the range is stretched over, n + from + by · i.
  ///   - absolute: scores by the absolute error instead of its square.
  /// - Returns: the scale, and the minimum, which is not negative.
  static func affine(
    _ x: Span<Float>, levels n: Int32, weights: Span<Float>, from: Float, by: Float, steps: Int, absolute: Bool,
    into levels: inout Levels
  ) -> (scale: Float, minimum: Float) {
    var (low, high) = (x[0], x[0])
    var sumW = weights[0]
    var sumX = sumW * x[0]
    for i in 1..<x.count {
      if x[i] < low { low = x[i] }
      if x[i] > high { high = x[i] }
      sumW += weights[i]
      sumX += weights[i] * x[i]
    }
    if low > 0 { low = 0 }
    guard high > low else {
      for i in x.indices { levels[i] = 0 }
      return (0, -low)
    }

    var candidate = Levels(repeating: 0)
    func error(_ scale: Float, _ low: Float, _ levels: borrowing Levels) -> Float {
      var sum: Float = 0
      for i in x.indices {
        let difference = scale * Float(levels[i]) + low - x[i]
        sum += weights[i] * (absolute ? difference.magnitude : difference * difference)
      }
      return sum
    }

    var inverse = Float(n) / (high - low)
    var scale = 1 / inverse
    for i in x.indices { levels[i] = UInt8(Rounding.nearest(inverse * (x[i] - low), in: 0...n)) }
    var best = error(scale, low, levels)
    for step in 0...steps {
      inverse = (from + by * Float(step) + Float(n)) / (high - low)
      var (sumL, sumLL, sumXL): (Float, Float, Float) = (0, 0, 0)
      for i in x.indices {
        let level = Rounding.nearest(inverse * (x[i] - low), in: 0...n)
        candidate[i] = UInt8(level)
        let l = Float(level)
        let w = weights[i]
        sumL += w * l
        sumLL += w * l * l
        sumXL += w * l * x[i]
      }
      let determinant = sumW * sumLL - sumL * sumL
      guard determinant > 0 else { continue }
      var newScale = (sumW * sumXL - sumX * sumL) / determinant
      var newLow = (sumLL * sumX - sumL * sumXL) / determinant
      if newLow > 0 {
        newLow = 0
        newScale = sumXL / sumLL
      }
      let newError = error(newScale, newLow, candidate)
      if newError < best {
        // The next candidates start from the improved minimum: part of the definition, not an oversight.
        for i in x.indices { levels[i] = candidate[i] }
        (best, scale, low) = (newError, newScale, newLow)
      }
    }
    return (scale, -low)
  }

  /// x ≈ scale · l, l in 0...n, x not negative (`make_qp_quants`): a grid of nine scales, a least-squares scale, then up to
  /// five rounds of moving single levels while that improves the fit.
  static func positive(_ x: Span<Float>, levels n: Int32, weights: Span<Float>, into levels: inout Levels) -> Float {
    var maximum: Float = 0
    for i in x.indices { maximum = maximum > x[i] ? maximum : x[i] }
    guard maximum >= Rounding.groupEpsilon else {
      for i in x.indices { levels[i] = 0 }
      return 0
    }
    var inverse = Float(n) / maximum
    var best: Float = 0
    let first = 1 / inverse
    for i in x.indices {
      let level = UInt8(truncatingIfNeeded: Rounding.nearest(inverse * x[i]))
      let difference = x[i] - first * Float(level)
      best += weights[i] * difference * difference
    }
    for step in -4...4 where step != 0 {
      let candidate = (0.1 * Float(step) + Float(n)) / maximum
      let scale = 1 / candidate
      var error: Float = 0
      for i in x.indices {
        let difference = x[i] - scale * Float(min(n, Rounding.nearest(candidate * x[i])))
        error += weights[i] * difference * difference
      }
      if error < best { (best, inverse) = (error, candidate) }
    }

    var (sumXL, sumLL): (Float, Float) = (0, 0)
    for i in x.indices {
      let level = min(n, Rounding.nearest(inverse * x[i]))
      levels[i] = UInt8(truncatingIfNeeded: level)
      let w = weights[i]
      sumXL += w * x[i] * Float(level)
      sumLL += w * Float(level) * Float(level)
    }
    for _ in 0..<5 {
      var changed = false
      for i in x.indices {
        let (w, old) = (weights[i], Float(levels[i]))
        var xl = sumXL - w * x[i] * old
        var ll = sumLL - w * old * old
        guard xl > 0 && ll > 0 else { continue }
        let level = min(n, Rounding.nearest(x[i] * ll / xl))
        guard level != Int32(levels[i]) else { continue }
        xl += w * x[i] * Float(level)
        ll += w * Float(level) * Float(level)
        if xl * xl * sumLL > sumXL * sumXL * ll {
          levels[i] = UInt8(truncatingIfNeeded: level)
          (sumXL, sumLL) = (xl, ll)
          changed = true
        }
      }
      if !changed { break }
    }
    return sumLL > 0 ? sumXL / sumLL : 0
  }

  /// x ≈ scale · (l − n), l in 0..<2n, by moving single levels with the weights x² (`make_q3_quants`).
  static func refined(_ x: Span<Float>, levels n: Int32, into levels: inout Levels) -> Float {
    var (maximum, magnitude): (Float, Float) = (0, 0)
    for i in x.indices where x[i].magnitude > magnitude { (maximum, magnitude) = (x[i], x[i].magnitude) }
    guard magnitude >= Rounding.groupEpsilon else {
      for i in x.indices { levels[i] = 0 }
      return 0
    }
    let inverse = Float(-n) / maximum
    var signed = InlineArray<32, Int32>(repeating: 0)
    var (sumXL, sumLL): (Float, Float) = (0, 0)
    for i in x.indices {
      signed[i] = Rounding.nearest(inverse * x[i], in: -n...n - 1)
      let (w, l) = (x[i] * x[i], Float(signed[i]))
      sumXL += w * x[i] * l
      sumLL += w * l * l
    }
    for _ in 0..<5 {
      var changed = false
      for i in x.indices {
        let (w, old) = (x[i] * x[i], Float(signed[i]))
        var xl = sumXL - w * x[i] * old
        guard xl > 0 else { continue }
        var ll = sumLL - w * old * old
        let level = Rounding.nearest(x[i] * ll / xl, in: -n...n - 1)
        guard level != signed[i] else { continue }
        xl += w * x[i] * Float(level)
        ll += w * Float(level) * Float(level)
        if ll > 0 && xl * xl * sumLL > sumXL * sumXL * ll {
          signed[i] = level
          (sumXL, sumLL) = (xl, ll)
          changed = true
        }
      }
      if !changed { break }
    }
    for i in x.indices { levels[i] = UInt8(signed[i] + n) }
    return sumLL > 0 ? sumXL / sumLL : 0
  }
}

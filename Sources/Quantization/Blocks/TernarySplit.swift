import Tensors

/// The best way to split weights into three levels, −1, 0 and 1, all of them shifted by an eighth up or down (IQ1_S and IQ1_M).
///
/// With the weights in ascending order a split is two places; every pair of places is tried with every shift and scored by the
/// weighted least-squares fit of the scale. That is exact but for the grid, to which the levels are moved afterwards.
struct TernarySplit {
  /// Levels 0, 1 and 2 of each weight.
  var levels = InlineArray<32, UInt8>(repeating: 1)
  var scale: Float = 0
  /// Of IQ1_M's two eights; of IQ1_S's four, all as the first.
  var isDown = InlineArray<2, Bool>(repeating: false)
  /// Whether there is more than zeros.
  var isStored = false

  /// What level `level` is worth.
  static func value(_ level: UInt8, down: Bool) -> Float { Float(Int32(level) - 1) + (down ? -0.125 : 0.125) }

  /// Places in ascending order of the values; equal ones keep theirs.
  private static func order(_ x: Span<Float>) -> InlineArray<32, Int> {
    var order = InlineArray<32, Int>(repeating: 0)
    for i in x.indices {
      var at = i
      while at > 0 && x[order[at - 1]] > x[i] {
        order[at] = order[at - 1]
        at -= 1
      }
      order[at] = i
    }
    return order
  }

  private mutating func assign(_ order: borrowing InlineArray<32, Int>, _ count: Int, _ first: Int, _ second: Int) {
    for j in 0..<count { levels[order[j]] = j < first ? 0 : j < second ? 1 : 2 }
  }

  /// Turns levels and shifts round where that makes the scale positive.
  private mutating func straighten(_ count: Int) {
    guard scale < 0 else { return }
    scale = -scale
    for i in 0..<count { levels[i] = 2 - levels[i] }
    for half in 0..<2 { isDown[half].toggle() }
  }

  /// 32 weights of one shift.
  static func single(_ x: Span<Float>, _ weights: borrowing InlineArray<32, Float>) -> TernarySplit {
    var split = TernarySplit()
    let order = order(x)
    var sums = InlineArray<33, Float>(repeating: 0)
    var totals = InlineArray<33, Float>(repeating: 0)
    for j in 0..<32 {
      sums[j + 1] = sums[j] + weights[order[j]] * x[order[j]]
      totals[j + 1] = totals[j] + weights[order[j]]
    }
    var best = -Float.greatestFiniteMagnitude
    var places = (0, 0)
    for first in 0...32 {
      for second in first...32 {
        for down in [false, true] {
          let (a, b, c) = (value(0, down: down), value(1, down: down), value(2, down: down))
          let xq = sums[first] * a + (sums[second] - sums[first]) * b + (sums[32] - sums[second]) * c
          let qq =
            totals[first] * a * a + (totals[second] - totals[first]) * b * b + (totals[32] - totals[second]) * c * c
          if qq > 0 && xq * xq > best * qq {
            split.scale = xq / qq
            best = split.scale * xq
            (places, split.isDown) = ((first, second), [down, down])
            split.isStored = true
          }
        }
      }
    }
    guard split.isStored else { return TernarySplit() }
    split.assign(order, 32, places.0, places.1)
    split.straighten(32)
    return split
  }

  /// 16 weights, each eight of a shift of its own.
  ///
  /// Neighbouring levels lie one apart, so a sum over the levels is that of the last one less the sums up to both places.
  static func double(_ x: Span<Float>, _ weights: borrowing InlineArray<32, Float>) -> TernarySplit {
    var split = TernarySplit()
    let order = order(x)
    var sums = InlineArray<2, InlineArray<17, Float>>(repeating: InlineArray(repeating: 0))
    var totals = sums
    for j in 0..<16 {
      for half in 0..<2 {
        sums[half][j + 1] = sums[half][j]
        totals[half][j + 1] = totals[half][j]
      }
      let (i, half) = (order[j], order[j] / 8)
      sums[half][j + 1] = sums[half][j] + weights[i] * x[i]
      totals[half][j + 1] = totals[half][j] + weights[i]
    }
    var best = -Float.greatestFiniteMagnitude
    var places = (0, 0)
    for first in 0...16 {
      for second in first...16 {
        // Of each half, with the shift up and down.
        var xq = InlineArray<2, InlineArray<2, Float>>(repeating: InlineArray(repeating: 0))
        var qq = xq
        for half in 0..<2 {
          let sum = sums[half][first] + sums[half][second]
          for (shift, down) in [false, true].enumerated() {
            let (a, b, c) = (value(0, down: down), value(1, down: down), value(2, down: down))
            xq[half][shift] = sums[half][16] * c - sum
            qq[half][shift] =
              totals[half][16] * c * c + totals[half][first] * (a * a - b * b) + totals[half][second] * (b * b - c * c)
          }
        }
        for shifts in 0..<4 {
          let (left, right) = (shifts / 2, shifts % 2)
          let (sum, square) = (xq[0][left] + xq[1][right], qq[0][left] + qq[1][right])
          if square > 0 && sum * sum > best * square {
            split.scale = sum / square
            best = split.scale * sum
            (places, split.isDown) = ((first, second), [left == 1, right == 1])
            split.isStored = true
          }
        }
      }
    }
    guard split.isStored else { return TernarySplit() }
    split.assign(order, 16, places.0, places.1)
    split.straighten(16)
    return split
  }
}

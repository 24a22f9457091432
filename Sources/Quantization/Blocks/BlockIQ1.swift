import Tensors

/// One and a half bits a weight: −1, 0 or 1 and a shift of ± 1/8 of the scale, eight weights as an index into a grid. A group of
/// 32 weights (IQ1_S) or 16 (IQ1_M) has a 3-bit scale; the shift is one for a group of IQ1_S and one for each eight weights of
/// IQ1_M. The layouts are in `Grid8Blocks`.
///
/// Levels that fit best do not depend on an order of trials: sorted weights are cut at two places, and all cuts are tried.
enum BlockIQ1 {
  /// What the levels mean, shifted up and down.
  private static let up: InlineArray<3, Float> = [-0.875, 0.125, 1.125]
  private static let down: InlineArray<3, Float> = [-1.125, -0.125, 0.875]

  /// Needs importance.
  static func quantizeS(
    _ x: Span<Float>, importance: Span<Float>?, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    for start in stride(from: 0, to: x.count, by: 256) {
      let range = start..<start + 256
      guard
        let block = Found(x.extracting(range), importance?.extracting(range), size: 32, epsilon: 1e-12, searchS)
      else {
        writer.put(GridGroup8.refused, &out)
        for _ in 2..<50 { writer.put(UInt8(0), &out) }
        continue
      }
      let inverse = 1 / (block.maximum / 15)
      writer.put(block.maximum == 0 ? 0 : Half.bits(computed: block.maximum / 15 * 1.125), &out)
      for at in 0..<32 { writer.put(UInt8(truncatingIfNeeded: block.index(at)), &out) }
      for group in 0..<8 {
        var word: UInt16 = 0
        for eight in 0..<4 { word |= UInt16(block.index(4 * group + eight) >> 8) << UInt16(3 * eight) }
        if block.maximum != 0 {
          word |= block.level(group, inverse) << 12
          if block.shifts[group] != 0 { word |= 0x8000 }
        }
        writer.put(word, &out)
      }
    }
  }

  /// Without importance the weights are x².
  static func quantizeM(
    _ x: Span<Float>, importance: Span<Float>?, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    for start in stride(from: 0, to: x.count, by: 256) {
      let (values, weights) = (
        x.extracting(start..<start + 256), importance?.extracting(start..<start + 256)
      )
      var scales: InlineArray<4, UInt16> = .init(repeating: 0)
      guard let block = Found(values, weights, size: 16, epsilon: 1e-7, searchM) else {
        for _ in 0..<48 { writer.put(UInt8(0), &out) }
        for j in 0..<4 { writer.put((GridGroup8.refused >> UInt16(4 * j)) << 12, &out) }
        continue
      }
      for at in 0..<32 { writer.put(UInt8(truncatingIfNeeded: block.index(at)), &out) }
      for group in 0..<16 {
        let shifts = block.maximum == 0 ? 0 : block.shifts[group]
        let first = block.index(2 * group) >> 8 | (shifts & 2) << 2
        writer.put(UInt8(first | (block.index(2 * group + 1) >> 8 | (shifts & 1) << 3) << 4), &out)
      }
      if block.maximum != 0 {
        let inverse = 1 / (block.maximum / 15)
        for group in 0..<16 { scales[group / 4] |= block.level(group, inverse) << UInt16(3 * (group % 4)) }
        let d = Half.bits(computed: refit(values, weights, block, inverse) * 1.1125)
        for j in 0..<4 { scales[j] |= (d >> UInt16(4 * j)) << 12 }
      }
      for j in 0..<4 { writer.put(scales[j], &out) }
    }
  }

  /// d of IQ1_M that fits the levels of the whole super-block best.
  private static func refit(_ x: Span<Float>, _ importance: Span<Float>?, _ block: Found, _ inverse: Float) -> Float {
    let variance = ErrorWeights.variance(x, times: 2)
    var (xq, qq): (Float, Float) = (0, 0)
    for group in 0..<16 {
      let range = 16 * group..<16 * group + 16
      let weights = weights(x.extracting(range), importance?.extracting(range), variance)
      let scale = Float(2 * block.level(group, inverse) + 1)
      for i in 0..<16 {
        let values = block.shifts[group] >> (1 - i / 8) & 1 == 0 ? up : down
        let q = values[Int(block.codes[2 * group + i / 8] >> UInt16(2 * (i % 8)) & 3)] * scale
        xq += weights[i] * q * x[16 * group + i]
        qq += weights[i] * q * q
      }
    }
    return qq > 0 ? xq / qq : block.maximum / 15
  }

  private static func weights(_ x: Span<Float>, _ importance: Span<Float>?, _ variance: Float) -> InlineArray<32, Float>
  {
    if let importance { return ErrorWeights.weights(x, importance, variance) }
    var weights = InlineArray<32, Float>(repeating: 0)
    for i in x.indices { weights[i] = x[i] * x[i] }
    return weights
  }

  /// What was found for the groups of a super-block.
  private struct Found {
    var scales = InlineArray<16, Float>(repeating: 0)
    /// Of each group: a bit for each shift that is down, the first uppermost.
    var shifts = InlineArray<16, Int>(repeating: 0)
    var codes = InlineArray<32, UInt16>(repeating: 0)
    var maximum: Float = 0

    /// - Parameter epsilon: a group below it is zero.
    /// - Returns: nil where ggml would stop.
    init?(
      _ x: Span<Float>, _ importance: Span<Float>?, size: Int, epsilon: Float, _ search: (borrowing Sorted) -> Cut?
    ) {
      let variance = ErrorWeights.variance(x, times: 2)
      for group in 0..<256 / size {
        let range = size * group..<size * group + size
        let values = x.extracting(range)
        var largest: Float = 0
        for i in 0..<size { largest = largest > values[i].magnitude ? largest : values[i].magnitude }
        let weights = BlockIQ1.weights(values, importance?.extracting(range), variance)
        guard largest >= epsilon, let cut = search(Sorted(values, weights)) else { continue }

        var grid = GridGroup8(grid: .iq1, count: size)
        (grid.weights, grid.choiceWeights) = (weights, weights)
        for i in 0..<size { grid.x[i] = values[i] }
        for eight in 0..<size / 8 { grid.values[eight] = cut.isDown(eight, of: size / 8) ? down : up }
        guard let scale = BlockIQ1.choose(&grid, cut), scale >= 0 else { return nil }
        scales[group] = scale
        shifts[group] = cut.shifts
        maximum = maximum > scale ? maximum : scale
        for eight in 0..<size / 8 { codes[size / 8 * group + eight] = grid.codes[eight] }
      }
    }

    /// Every code found is of the grid.
    func index(_ eight: Int) -> Int { Grid8.iq1.index(of: codes[eight]) ?? 0 }

    func level(_ group: Int, _ inverse: Float) -> UInt16 {
      UInt16(Rounding.nearest(0.5 * (inverse * scales[group] - 1), in: 0...7))
    }
  }

  /// Puts the levels of a cut on the grid, and fits the scale where that changed some. Nil where there is no neighbour.
  private static func choose(_ group: inout GridGroup8, _ cut: borrowing Cut) -> Float? {
    var scale = cut.scale
    var isChanged = false
    for eight in 0..<group.count / 8 {
      var code: UInt16 = 0
      for i in 0..<8 { code |= UInt16(cut.levels[8 * eight + i]) << UInt16(2 * i) }
      guard let entry = group.entry(code, of: eight, scale: scale) else { return nil }
      if entry != code { isChanged = true }
      group.codes[eight] = entry
    }
    guard isChanged else { return scale }
    var (xq, qq): (Float, Float) = (0, 0)
    for i in 0..<group.count {
      let q = group.values[i / 8][Int(group.codes[i / 8] >> UInt16(2 * (i % 8)) & 3)]
      xq += group.weights[i] * q * group.x[i]
      qq += group.weights[i] * q * q
    }
    if xq > 0 && qq > 0 { scale = xq / qq }
    return scale
  }

  /// Values and weights of a group in ascending order of the values, equal ones in theirs.
  private struct Sorted {
    let count: Int
    var places = InlineArray<32, Int>(repeating: 0)
    var wx = InlineArray<32, Float>(repeating: 0)
    var w = InlineArray<32, Float>(repeating: 0)

    init(_ x: Span<Float>, _ weights: InlineArray<32, Float>) {
      count = x.count
      for i in x.indices {
        var at = i
        while at > 0 && x[i] < x[places[at - 1]] {
          places[at] = places[at - 1]
          at -= 1
        }
        places[at] = i
      }
      for j in x.indices { (wx[j], w[j]) = (weights[places[j]] * x[places[j]], weights[places[j]]) }
    }
  }

  /// Levels of a group by two cuts of its sorted values.
  private struct Cut {
    var scale: Float
    var levels: InlineArray<32, UInt8>
    var shifts: Int

    /// Of values below the first cut the level is 0, above the second 2. A negative scale is made positive, which turns all.
    init(_ sorted: borrowing Sorted, first: Int, second: Int, scale: Float, shifts: Int, allShifts: Int) {
      (self.scale, levels, self.shifts) = (scale, .init(repeating: 0), shifts)
      let isTurned = scale < 0
      for j in 0..<sorted.count {
        let level: UInt8 = j < first ? 0 : j < second ? 1 : 2
        levels[sorted.places[j]] = isTurned ? 2 - level : level
      }
      if isTurned { (self.scale, self.shifts) = (-scale, allShifts - shifts) }
    }

    /// Whether eight number `eight` is shifted down.
    func isDown(_ eight: Int, of count: Int) -> Bool { count == 4 ? shifts != 0 : shifts >> (1 - eight) & 1 == 1 }
  }

  /// All cuts with one shift: 0 up, 1 down. Nil where none has a fit.
  private static func searchS(_ sorted: borrowing Sorted) -> Cut? {
    let n = sorted.count
    var sumX = InlineArray<33, Float>(repeating: 0)
    var sumW = InlineArray<33, Float>(repeating: 0)
    for j in 0..<n { (sumX[j + 1], sumW[j + 1]) = (sumX[j] + sorted.wx[j], sumW[j] + sorted.w[j]) }
    var best = Best()
    for first in 0...n {
      for second in first...n {
        for shift in 0..<2 {
          let q = shift == 0 ? up : down
          let (x0, x1, x2) = (sumX[first] - sumX[0], sumX[second] - sumX[first], sumX[n] - sumX[second])
          let (w0, w1, w2) = (sumW[first] - sumW[0], sumW[second] - sumW[first], sumW[n] - sumW[second])
          let xq: Float = x0 * q[0] + x1 * q[1] + x2 * q[2]
          let (below, between, above): (Float, Float, Float) = (w0 * q[0] * q[0], w1 * q[1] * q[1], w2 * q[2] * q[2])
          let qq = below + between + above
          best.take(xq, qq, first, second, shift)
        }
      }
    }
    return best.cut(sorted, allShifts: 1)
  }

  /// All cuts with the four pairs of shifts of the two halves: bit 1 is set where the first is down, bit 0 where the second.
  ///
  /// The levels are one apart, so Σ w x q is T q₂ less what lies below each cut, for either shift.
  private static func searchM(_ sorted: borrowing Sorted) -> Cut? {
    let n = sorted.count
    var sumX = InlineArray<2, InlineArray<33, Float>>(repeating: .init(repeating: 0))
    var sumW = InlineArray<2, InlineArray<33, Float>>(repeating: .init(repeating: 0))
    for j in 0..<n {
      for half in 0..<2 {
        let isHere = sorted.places[j] / (n / 2) == half
        sumX[half][j + 1] = isHere ? sumX[half][j] + sorted.wx[j] : sumX[half][j]
        sumW[half][j + 1] = isHere ? sumW[half][j] + sorted.w[j] : sumW[half][j]
      }
    }
    var best = Best()
    for first in 0...n {
      for second in first...n {
        // Of each half, shifted up and down.
        var xq = InlineArray<2, InlineArray<2, Float>>(repeating: .init(repeating: 0))
        var qq = xq
        for half in 0..<2 {
          let below = sumX[half][first] + sumX[half][second]
          for shift in 0..<2 {
            let q = shift == 0 ? up : down
            xq[half][shift] = sumX[half][n] * q[2] - below
            let lower: Float = sumW[half][first] * (q[0] * q[0] - q[1] * q[1])
            let upper: Float = sumW[half][second] * (q[1] * q[1] - q[2] * q[2])
            let all: Float = sumW[half][n] * q[2] * q[2]
            qq[half][shift] = all + lower + upper
          }
        }
        for shifts in 0..<4 {
          best.take(
            xq[0][shifts >> 1] + xq[1][shifts & 1], qq[0][shifts >> 1] + qq[1][shifts & 1], first, second, shifts)
        }
      }
    }
    return best.cut(sorted, allShifts: 3)
  }

  /// The best cut so far.
  private struct Best {
    var score = -Float.greatestFiniteMagnitude
    var scale: Float = 0
    var cuts: (first: Int, second: Int, shifts: Int)?

    @inline(__always)
    mutating func take(_ xq: Float, _ qq: Float, _ first: Int, _ second: Int, _ shifts: Int) {
      guard qq > 0 && xq * xq > score * qq else { return }
      scale = xq / qq
      score = scale * xq
      cuts = (first, second, shifts)
    }

    func cut(_ sorted: borrowing Sorted, allShifts: Int) -> Cut? {
      guard let cuts else { return nil }
      return Cut(
        sorted, first: cuts.first, second: cuts.second, scale: scale, shifts: cuts.shifts, allShifts: allShifts)
    }
  }
}

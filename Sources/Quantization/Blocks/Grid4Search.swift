import Tensors

/// The search of IQ3_XXS and IQ3_S for the scale and the grid's entries of 32 weights.
///
/// Candidates spread the largest magnitude over 15 ± some fifths; magnitudes are rounded to levels, and four that are no entry
/// go to the one of its neighbours that errs least. Each candidate is scored by the weighted least-squares fit of the scale.
struct Grid4Search {
  enum Format {
    case xxs, s

    var grid: Grid4 { self == .xxs ? .iq3_XXS : .iq3_S }
    /// Candidates on either side.
    var steps: Int { self == .xxs ? 15 : 9 }
  }

  struct Group {
    /// Whether it is more than zeros.
    var isStored = false
    var scale: Float = 0
    var entries = InlineArray<8, UInt16>(repeating: 0)
    /// Of eight weights each.
    var signs = InlineArray<4, UInt8>(repeating: 0)
  }

  private let format: Format
  private let grid: Grid4
  private var weights = InlineArray<32, Float>(repeating: 0)
  private var rootWeights = InlineArray<32, Float>(repeating: 0)
  /// Magnitudes; in IQ3_XXS the one that matters least of eight may be negative, which makes the number of signs even.
  private var x = InlineArray<32, Float>(repeating: 0)
  private var signs = InlineArray<4, UInt8>(repeating: 0)
  /// Whether an error was beyond all numbers.
  private(set) var isLost = false

  init(_ values: Span<Float>, importance: Span<Float>?, _ variance: Float, _ format: Format) {
    (self.format, grid) = (format, format.grid)
    if let importance {
      weights = ErrorWeights.weights(values, importance, variance)
    } else {
      for i in 0..<32 { weights[i] = values[i] * values[i] }
    }
    for i in 0..<32 {
      rootWeights[i] = weights[i].squareRoot()
      let isNegative = !(values[i] >= 0)
      x[i] = isNegative ? -values[i] : values[i]
      if isNegative { signs[i / 8] |= 1 << UInt8(i % 8) }
    }
    if format == .xxs {
      for eight in 0..<4 where signs[eight].nonzeroBitCount % 2 == 1 { flipTheLeast(of: eight) }
    }
  }

  private mutating func flipTheLeast(of eight: Int) {
    func cost(_ i: Int) -> Float { weights[i] * x[i] * x[i] }
    var least = 8 * eight
    for i in 8 * eight + 1..<8 * eight + 8 where cost(i) < cost(least) { least = i }
    x[least] = -x[least]
    signs[eight] ^= 1 << UInt8(least % 8)
  }

  mutating func result() -> Group {
    var maximum = x[0]
    for i in 1..<32 { maximum = maximum > x[i] ? maximum : x[i] }
    guard format == .xxs ? maximum >= 1e-8 : maximum != 0 else { return Group() }

    var codes = InlineArray<8, UInt16>(repeating: 0)
    var isRounded = InlineArray<8, Bool>(repeating: format == .xxs)
    var scale = maximum / 15
    var best: Float = 0
    for step in -format.steps...format.steps {
      let inverse = (15 + Float(step) * 0.2) / maximum
      var candidate = InlineArray<8, UInt16>(repeating: 0)
      var isCandidateRounded = InlineArray<8, Bool>(repeating: true)
      for four in 0..<8 {
        let code = rounded(four, inverse)
        candidate[four] = onGrid(code, four, 1 / inverse)
        isCandidateRounded[four] = candidate[four] == code
      }
      let (xq, qq) = fit(candidate)
      if qq > 0 && xq * xq > best * qq {
        scale = xq / qq
        best = scale * xq
        (codes, isRounded) = (candidate, isCandidateRounded)
      }
    }

    var allRounded = true
    for four in 0..<8 where !isRounded[four] { allRounded = false }
    if !allRounded && scale > 0 {
      // Once more with the best scale: the fours that were moved, in IQ3_S all.
      for four in 0..<8 where format == .s || !isRounded[four] {
        codes[four] = onGrid(rounded(four, 1 / scale), four, scale)
      }
      let (xq, qq) = fit(codes)
      if qq > 0 { scale = xq / qq }
    }
    if scale < 0 {
      scale = -scale
      for eight in 0..<4 { signs[eight] = ~signs[eight] }
    }
    if scale.isNaN { isLost = true }

    var group = Group(isStored: true, scale: scale, signs: signs)
    for four in 0..<8 { group.entries[four] = UInt16(grid.entry(of: codes[four]) ?? 0) }
    return group
  }

  /// The code of the levels nearest to four magnitudes.
  private func rounded(_ four: Int, _ inverse: Float) -> UInt16 {
    var code: UInt16 = 0
    for i in 0..<4 {
      code |= UInt16(Rounding.nearest(0.5 * (inverse * x[4 * four + i] - 1), in: 0...7)) << UInt16(3 * i)
    }
    return code
  }

  /// `code` if it is an entry, else the first of the neighbours with the least error, which weighs by the root of the weights.
  private mutating func onGrid(_ code: UInt16, _ four: Int, _ scale: Float) -> UInt16 {
    if grid.entry(of: code) != nil { return code }
    var (nearest, least): (UInt16?, Float) = (nil, .greatestFiniteMagnitude)
    for neighbour in grid.neighbours(of: code) {
      var error: Float = 0
      for i in 0..<4 {
        let difference = scale * level(neighbour, i) - x[4 * four + i]
        error += rootWeights[4 * four + i] * difference * difference
      }
      if error < least { (nearest, least) = (neighbour, error) }
    }
    if nearest == nil { isLost = true }
    return nearest ?? 0
  }

  private func level(_ code: UInt16, _ i: Int) -> Float { Float(code >> UInt16(3 * i) & 7) * 2 + 1 }

  /// Sums of w x q and w q².
  private func fit(_ codes: borrowing InlineArray<8, UInt16>) -> (xq: Float, qq: Float) {
    var (xq, qq): (Float, Float) = (0, 0)
    for i in 0..<32 {
      let q = level(codes[i / 4], i % 4)
      xq += weights[i] * x[i] * q
      qq += weights[i] * q * q
    }
    return (xq, qq)
  }
}

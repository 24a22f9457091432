import Tensors

/// The search of the IQ2 formats for the scale and the grid's entries of 16 or 32 weights.
///
/// Candidates spread a magnitude over 5 ± some tenths; magnitudes are rounded to levels, and eight that are no entry go to the
/// one of its neighbours that errs least. Each candidate is scored by the weighted least-squares fit of the scale.
struct Grid8Search {
  enum Format {
    case xxs, xs, s

    var grid: Grid8 {
      switch self {
      case .xxs: .iq2_XXS
      case .xs: .iq2_XS
      case .s: .iq2_S
      }
    }
    /// Weights of one scale.
    var size: Int { self == .xxs ? 32 : 16 }
    /// Candidates on either side.
    var steps: Int { self == .xxs ? 6 : 9 }
    /// Whether the eighth sign is not stored, so that an even number of signs must be set.
    var hasEvenSigns: Bool { self != .s }
    var epsilon: Float { self == .s ? 1e-8 : Rounding.groupEpsilon }
  }

  struct Group {
    var scale: Float = 0
    var entries = InlineArray<4, UInt16>(repeating: 0)
    /// Of eight weights each.
    var signs = InlineArray<4, UInt8>(repeating: 0)
  }

  private let format: Format
  private let grid: Grid8
  private let weights: InlineArray<32, Float>
  private var rootWeights = InlineArray<32, Float>(repeating: 0)
  /// Magnitudes; the one that matters least of eight may be negative, which makes the number of signs even.
  private var x = InlineArray<32, Float>(repeating: 0)
  private var signs = InlineArray<4, UInt8>(repeating: 0)
  /// Whether an error was beyond all numbers.
  private(set) var isLost = false

  private var eights: Int { format.size / 8 }

  init(_ values: Span<Float>, weights: InlineArray<32, Float>, _ format: Format) {
    (self.format, self.weights, grid) = (format, weights, format.grid)
    for i in values.indices {
      rootWeights[i] = weights[i].squareRoot()
      let isNegative = !(values[i] >= 0)
      x[i] = isNegative ? -values[i] : values[i]
      if isNegative { signs[i / 8] |= 1 << UInt8(i % 8) }
    }
    if format.hasEvenSigns {
      for eight in 0..<values.count / 8 where signs[eight].nonzeroBitCount % 2 == 1 { flipTheLeast(of: eight) }
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
    for i in 1..<format.size { maximum = maximum > x[i] ? maximum : x[i] }
    // What is not stored has no signs either, save in IQ2_S, which leaves them out too.
    guard maximum >= format.epsilon else { return Group() }

    var scale = maximum / 5
    if format == .xxs {
      // The largest magnitude of a fit by levels that any of the eight may have.
      var levels = ScaleSearch.Levels(repeating: 0)
      scale = ScaleSearch.positive(x.span, levels: 4, weights: weights.span, into: &levels)
      maximum = scale * 3
      if maximum <= 0 { return Group() }
    }
    var codes = InlineArray<4, UInt16>(repeating: 0)
    var isRounded = InlineArray<4, Bool>(repeating: true)
    var best: Float = 0
    for step in -format.steps...format.steps {
      let inverse = (5 + Float(step) * 0.1) / maximum
      var candidate = InlineArray<4, UInt16>(repeating: 0)
      var isCandidateRounded = InlineArray<4, Bool>(repeating: true)
      for eight in 0..<eights {
        let code = rounded(eight, inverse)
        candidate[eight] = onGrid(code, eight, 1 / inverse)
        isCandidateRounded[eight] = candidate[eight] == code
      }
      let (xq, qq) = fit(candidate)
      if qq > 0 && xq * xq > best * qq {
        scale = xq / qq
        best = scale * xq
        (codes, isRounded) = (candidate, isCandidateRounded)
      }
    }

    if scale > 0 {
      // Once more with the best scale: the eights that were moved, in IQ2_XXS all.
      var again = false
      for eight in 0..<eights where format == .xxs || !isRounded[eight] {
        codes[eight] = onGrid(rounded(eight, 1 / scale), eight, scale)
        again = true
      }
      if again {
        let (xq, qq) = fit(codes)
        if qq > 0 { scale = xq / qq }
      }
    }
    if scale < 0 {
      scale = -scale
      for eight in 0..<eights { signs[eight] = ~signs[eight] }
    }
    if scale.isNaN { isLost = true }

    var group = Group(scale: scale, signs: signs)
    for eight in 0..<eights { group.entries[eight] = UInt16(grid.entry(of: codes[eight]) ?? 0) }
    return group
  }

  /// The code of the levels nearest to eight magnitudes.
  private func rounded(_ eight: Int, _ inverse: Float) -> UInt16 {
    var code: UInt16 = 0
    for i in 0..<8 {
      code |= UInt16(Rounding.nearest(0.5 * (inverse * x[8 * eight + i] - 1), in: 0...2)) << UInt16(2 * i)
    }
    return code
  }

  /// `code` if it is an entry, else the first of the neighbours with the least error, which weighs by the root of the weights.
  private mutating func onGrid(_ code: UInt16, _ eight: Int, _ scale: Float) -> UInt16 {
    if grid.entry(of: code) != nil { return code }
    var (nearest, least): (UInt16?, Float) = (nil, .greatestFiniteMagnitude)
    for neighbour in grid.neighbours(of: code) {
      var error: Float = 0
      for i in 0..<8 {
        let difference = scale * level(neighbour, i) - x[8 * eight + i]
        error += rootWeights[8 * eight + i] * difference * difference
      }
      if error < least { (nearest, least) = (neighbour, error) }
    }
    if nearest == nil { isLost = true }
    return nearest ?? 0
  }

  private func level(_ code: UInt16, _ i: Int) -> Float { Float(code >> UInt16(2 * i) & 3) * 2 + 1 }

  /// Sums of w x q and w q².
  private func fit(_ codes: borrowing InlineArray<4, UInt16>) -> (xq: Float, qq: Float) {
    var (xq, qq): (Float, Float) = (0, 0)
    for i in 0..<format.size {
      let q = level(codes[i / 8], i % 8)
      xq += weights[i] * x[i] * q
      qq += weights[i] * q * q
    }
    return (xq, qq)
  }
}

/// 16 or 32 weights on a grid.
struct GridGroup {
  /// Whether it is more than zeros.
  var isStored = false
  var scale: Float = 0
  var entries = InlineArray<8, UInt16>(repeating: 0)
  /// Of eight weights each.
  var signs = InlineArray<4, UInt8>(repeating: 0)
}

/// The search of the IQ2 and IQ3 formats for the scale and the grid's entries of 16 or 32 weights.
///
/// Candidates spread the largest magnitude over the greatest odd number ± some steps; magnitudes are rounded to levels, and
/// those of an entry that are none go to the one of its neighbours that errs least. Each candidate is scored by the weighted
/// least-squares fit of the scale.
struct GridSearch<Grid: LevelGrid> {
  private typealias Codes = InlineArray<8, UInt16>

  private let format: GridFormat<Grid>
  private let weights: InlineArray<32, Float>
  private var rootWeights = InlineArray<32, Float>(repeating: 0)
  /// Magnitudes; with even signs the one that matters least of eight may be negative, which makes their number even.
  private var x = InlineArray<32, Float>(repeating: 0)
  private var signs = InlineArray<4, UInt8>(repeating: 0)
  /// Whether an error was beyond all numbers.
  private(set) var isLost = false

  private var entries: Int { format.size / format.levels }

  init(_ values: Span<Float>, weights: InlineArray<32, Float>, _ format: GridFormat<Grid>) {
    (self.format, self.weights) = (format, weights)
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

  mutating func result() -> GridGroup {
    var maximum = x[0]
    for i in 1..<format.size { maximum = maximum > x[i] ? maximum : x[i] }
    // What is not stored has no signs either.
    guard maximum >= format.smallest else { return GridGroup() }

    let greatest = Float(2 * format.top + 1)
    var scale = maximum / greatest
    if format.beginsWithFit {
      var levels = ScaleSearch.Levels(repeating: 0)
      scale = ScaleSearch.positive(x.span, levels: format.top + 2, weights: weights.span, into: &levels)
      maximum = scale * Float(format.top + 1)
      if maximum <= 0 { return GridGroup() }
    }
    var codes = Codes(repeating: 0)
    var isMoved = InlineArray<8, Bool>(repeating: format.again == .allIfMoved)
    var best: Float = 0
    for step in -format.steps...format.steps {
      let inverse = (greatest + Float(step) * format.step) / maximum
      var candidate = Codes(repeating: 0)
      var isCandidateMoved = InlineArray<8, Bool>(repeating: false)
      for entry in 0..<entries {
        let code = rounded(entry, inverse)
        candidate[entry] = onGrid(code, entry, 1 / inverse)
        isCandidateMoved[entry] = candidate[entry] != code
      }
      let (xq, qq) = fit(candidate)
      if qq > 0 && xq * xq > best * qq {
        scale = xq / qq
        best = scale * xq
        (codes, isMoved) = (candidate, isCandidateMoved)
      }
    }

    if scale > 0 { chooseAgain(&codes, isMoved, &scale) }
    if scale < 0 {
      scale = -scale
      for eight in 0..<format.size / 8 { signs[eight] = ~signs[eight] }
    }
    if scale.isNaN { isLost = true }

    var group = GridGroup(isStored: true, scale: scale, signs: signs)
    for entry in 0..<entries { group.entries[entry] = UInt16(format.grid.entry(of: codes[entry]) ?? 0) }
    return group
  }

  /// Once more with the best scale.
  private mutating func chooseAgain(
    _ codes: inout Codes, _ isMoved: InlineArray<8, Bool>, _ scale: inout Float
  ) {
    var anyMoved = false
    for entry in 0..<entries where isMoved[entry] { anyMoved = true }
    guard anyMoved || format.again == .all else { return }
    for entry in 0..<entries where format.again != .moved || isMoved[entry] {
      codes[entry] = onGrid(rounded(entry, 1 / scale), entry, scale)
    }
    let (xq, qq) = fit(codes)
    if qq > 0 { scale = xq / qq }
  }

  /// The code of the levels nearest to the magnitudes of an entry.
  private func rounded(_ entry: Int, _ inverse: Float) -> UInt16 {
    var code: UInt16 = 0
    for i in 0..<format.levels {
      let level = Rounding.nearest(0.5 * (inverse * x[format.levels * entry + i] - 1), in: 0...format.top)
      code |= UInt16(level) << UInt16(format.bits * i)
    }
    return code
  }

  /// `code` if it is an entry, else the first of the neighbours with the least error, which weighs by the root of the weights.
  private mutating func onGrid(_ code: UInt16, _ entry: Int, _ scale: Float) -> UInt16 {
    if format.grid.entry(of: code) != nil { return code }
    var (nearest, least): (UInt16?, Float) = (nil, .greatestFiniteMagnitude)
    for neighbour in format.grid.neighbours(of: code) {
      var error: Float = 0
      for i in 0..<format.levels {
        let at = format.levels * entry + i
        let difference = scale * value(neighbour, i) - x[at]
        error += rootWeights[at] * difference * difference
      }
      if error < least { (nearest, least) = (neighbour, error) }
    }
    if nearest == nil { isLost = true }
    return nearest ?? 0
  }

  /// What level `i` of a code stands for.
  private func value(_ code: UInt16, _ i: Int) -> Float {
    Float(code >> UInt16(format.bits * i) & (1 << UInt16(format.bits) - 1)) * 2 + 1
  }

  /// Sums of w x q and w q².
  private func fit(_ codes: borrowing Codes) -> (xq: Float, qq: Float) {
    var (xq, qq): (Float, Float) = (0, 0)
    for i in 0..<format.size {
      let q = value(codes[i / format.levels], i % format.levels)
      xq += weights[i] * x[i] * q
      qq += weights[i] * q * q
    }
    return (xq, qq)
  }
}

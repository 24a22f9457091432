import Tensors

/// Two bits a weight and a little: of eight weights the signs, and the magnitudes as an index into a grid; a 4-bit scale for each
/// group of 32 (IQ2_XXS) or 16 (IQ2_XS, IQ2_S) weights. The layouts are in `Grid8Blocks`.
///
/// Of eight signs IQ2_XXS and IQ2_XS store seven: the number of negative weights is made even, by turning the one that matters
/// least.
enum BlockIQ2 {
  /// Needs importance.
  static func quantizeXXS(
    _ x: Span<Float>, importance: Span<Float>?, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    for start in stride(from: 0, to: x.count, by: 256) {
      let range = start..<start + 256
      guard
        let block = Found(
          x.extracting(range), importance?.extracting(range), grid: .iq2_XXS, size: 32, variance: 1)
      else {
        refuse(66, &writer, &out)
        continue
      }
      let (d, levels) = block.scales(times: 1)
      writer.put(d, &out)
      for group in 0..<8 {
        var signs: UInt32 = 0
        for eight in 0..<4 {
          let at = 4 * group + eight
          writer.put(block.isZero ? 0 : UInt8(block.index(at)), &out)
          signs |= UInt32(block.signs[at] & 127) << UInt32(7 * eight)
        }
        writer.put(block.isZero ? 0 : signs | UInt32(levels[group]) << 28, &out)
      }
    }
  }

  /// Needs importance.
  static func quantizeXS(
    _ x: Span<Float>, importance: Span<Float>?, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    for start in stride(from: 0, to: x.count, by: 256) {
      let range = start..<start + 256
      guard
        let block = Found(
          x.extracting(range), importance?.extracting(range), grid: .iq2_XS, size: 16, variance: 1)
      else {
        refuse(74, &writer, &out)
        continue
      }
      let (d, levels) = block.scales(times: 1)
      writer.put(d, &out)
      for at in 0..<32 {
        writer.put(block.isZero ? 0 : UInt16(block.index(at)) | UInt16(block.signs[at] & 127) << 9, &out)
      }
      for at in 0..<8 { writer.put(levels[2 * at] | levels[2 * at + 1] << 4, &out) }
    }
  }

  /// Without importance the weights are x² and a little.
  static func quantizeS(
    _ x: Span<Float>, importance: Span<Float>?, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    for start in stride(from: 0, to: x.count, by: 256) {
      let range = start..<start + 256
      guard
        let block = Found(
          x.extracting(range), importance?.extracting(range), grid: .iq2_S, size: 16, variance: 2)
      else {
        refuse(82, &writer, &out)
        continue
      }
      let (d, levels) = block.scales(times: 0.9875)
      writer.put(d, &out)
      for at in 0..<32 { writer.put(UInt8(truncatingIfNeeded: block.index(at)), &out) }
      for at in 0..<32 { writer.put(block.signs[at], &out) }
      for at in 0..<8 {
        var high = 0
        for eight in 0..<4 { high |= (block.index(4 * at + eight) >> 8) << (2 * eight) }
        writer.put(UInt8(high), &out)
      }
      for at in 0..<8 { writer.put(levels[2 * at] | levels[2 * at + 1] << 4, &out) }
    }
  }

  private static func refuse(_ size: Int, _ writer: inout ByteWriter, _ out: inout MutableRawSpan) {
    writer.put(GridGroup8.refused, &out)
    for _ in 2..<size { writer.put(UInt8(0), &out) }
  }

  /// What was found for the groups of a super-block.
  private struct Found {
    let grid: Grid8
    let groups: Int
    var scales = InlineArray<16, Float>(repeating: 0)
    var codes = InlineArray<32, UInt16>(repeating: 0)
    var signs = InlineArray<32, UInt8>(repeating: 0)
    var maximum: Float = 0

    /// - Parameters:
    ///   - size: weights of a group.
    ///   - variance: how many times the mean square of the super-block counts in the weights.
    /// - Returns: nil where ggml would stop.
    init?(
      _ x: Span<Float>, _ importance: Span<Float>?, grid: Grid8, size: Int, variance: Float
    ) {
      (self.grid, groups) = (grid, 256 / size)
      let variance = ErrorWeights.variance(x, times: variance)
      for index in 0..<groups {
        let range = size * index..<size * index + size
        var group = Group(x.extracting(range), importance?.extracting(range), variance, grid: grid)
        guard group.search(), group.scale >= 0 else { return nil }
        scales[index] = group.scale
        maximum = maximum > group.scale ? maximum : group.scale
        for eight in 0..<size / 8 {
          codes[size / 8 * index + eight] = group.grid8.codes[eight]
          signs[size / 8 * index + eight] = group.signs[eight]
        }
      }
    }

    var isZero: Bool { maximum == 0 }

    /// Every code found is of the grid.
    func index(_ eight: Int) -> Int { grid.index(of: codes[eight]) ?? 0 }

    /// d as it is stored, and the levels of the scales: d (l + 1/2) / 4 is a quarter of each.
    func scales(times factor: Float) -> (d: UInt16, levels: InlineArray<16, UInt8>) {
      var levels = InlineArray<16, UInt8>(repeating: 0)
      guard !isZero else { return (0, levels) }
      let d = maximum / 31
      let inverse = 1 / d
      for group in 0..<groups {
        levels[group] = UInt8(Rounding.nearest(0.5 * (inverse * scales[group] - 1), in: 0...15))
      }
      return (Half.bits(computed: factor == 1 ? d : d * factor), levels)
    }
  }

  /// The search in one group.
  private struct Group {
    var grid8: GridGroup8
    var signs = InlineArray<4, UInt8>(repeating: 0)
    var scale: Float = 0

    init(_ x: Span<Float>, _ importance: Span<Float>?, _ variance: Float, grid: Grid8) {
      grid8 = GridGroup8(grid: grid, count: x.count)
      if let importance {
        grid8.weights = ErrorWeights.weights(x, importance, variance)
      } else {
        for i in x.indices { grid8.weights[i] = 0.25 * variance + x[i] * x[i] }
      }
      for i in x.indices {
        grid8.choiceWeights[i] = grid8.weights[i].squareRoot()
        if x[i] >= 0 {
          grid8.x[i] = x[i]
        } else {
          grid8.x[i] = -x[i]
          signs[i / 8] |= 1 << UInt8(i % 8)
        }
      }
    }

    /// Turns a weight in each eight with an odd number of negative ones: that with the smallest weighted square.
    private mutating func makeSignsEven() {
      for eight in 0..<grid8.count / 8 where signs[eight].nonzeroBitCount % 2 == 1 {
        func cost(_ i: Int) -> Float { grid8.weights[8 * eight + i] * grid8.x[8 * eight + i] * grid8.x[8 * eight + i] }
        var (least, smallest) = (0, cost(0))
        for i in 1..<8 where cost(i) < smallest { (least, smallest) = (i, cost(i)) }
        grid8.x[8 * eight + least] = -grid8.x[8 * eight + least]
        signs[eight] ^= 1 << UInt8(least)
      }
    }

    private var maximum: Float {
      var maximum = grid8.x[0]
      for i in 1..<grid8.count { maximum = maximum > grid8.x[i] ? maximum : grid8.x[i] }
      return maximum
    }

    /// The levels of eight magnitudes, x = scale (2 l + 1).
    private func rounded(_ eight: Int, _ inverse: Float) -> UInt16 {
      var code: UInt16 = 0
      for i in 0..<8 {
        let level = Rounding.nearest(0.5 * (inverse * grid8.x[8 * eight + i] - 1), in: 0...2)
        code |= UInt16(level) << UInt16(2 * i)
      }
      return code
    }

    /// Leaves nothing but zeros, as for a group that is too small to matter.
    private mutating func clear() { (scale, signs) = (0, .init(repeating: 0)) }

    private mutating func turn() {
      guard scale < 0 else { return }
      scale = -scale
      for eight in 0..<4 { signs[eight] = ~signs[eight] }
    }

    /// Finds codes, signs and scale, or gives false.
    mutating func search() -> Bool {
      switch grid8.grid {
      case .iq2_XXS: return searchXXS()
      case .iq2_XS:
        makeSignsEven()
        return search16(epsilon: Rounding.groupEpsilon)
      default: return search16(epsilon: 1e-8)
      }
    }

    /// Thirteen scales around that of a search without a grid; then all is rounded anew on the best.
    private mutating func searchXXS() -> Bool {
      makeSignsEven()
      if maximum < Rounding.groupEpsilon {
        clear()
        return true
      }
      var levels = ScaleSearch.Levels(repeating: 0)
      scale = ScaleSearch.positive(grid8.x.span, levels: 4, weights: grid8.weights.span, into: &levels)
      let largest = scale * 3
      if largest <= 0 {
        clear()
        return true
      }
      var best: Float = 0
      for step in -6...6 {
        let inverse = (5 + Float(step) * 0.1) / largest
        var codes = InlineArray<4, UInt16>(repeating: 0)
        for eight in 0..<4 {
          guard let code = grid8.entry(rounded(eight, inverse), of: eight, scale: 1 / inverse) else { return false }
          codes[eight] = code
        }
        keep(codes, &best)
      }
      if scale > 0 {
        let inverse = 1 / scale
        for eight in 0..<4 {
          guard let code = grid8.entry(rounded(eight, inverse), of: eight, scale: scale) else { return false }
          grid8.codes[eight] = code
        }
        refit()
      }
      turn()
      return true
    }

    /// Nineteen scales around that of the largest magnitude; then what was not on the grid is rounded anew on the best.
    private mutating func search16(epsilon: Float) -> Bool {
      let maximum = maximum
      if maximum < epsilon {
        clear()
        return true
      }
      scale = maximum / 5
      var best: Float = 0
      var isOnGrid: InlineArray<2, Bool> = [true, true]
      for step in -9...9 {
        let inverse = (5 + Float(step) * 0.1) / maximum
        var codes = InlineArray<4, UInt16>(repeating: 0)
        var isCandidateOnGrid: InlineArray<2, Bool> = [true, true]
        for eight in 0..<2 {
          let code = rounded(eight, inverse)
          guard let entry = grid8.entry(code, of: eight, scale: 1 / inverse) else { return false }
          codes[eight] = entry
          isCandidateOnGrid[eight] = entry == code
        }
        if keep(codes, &best) { isOnGrid = isCandidateOnGrid }
      }
      if !(isOnGrid[0] && isOnGrid[1]) && scale > 0 {
        let inverse = 1 / scale
        for eight in 0..<2 where !isOnGrid[eight] {
          guard let code = grid8.entry(rounded(eight, inverse), of: eight, scale: scale) else { return false }
          grid8.codes[eight] = code
        }
        refit()
      }
      turn()
      return true
    }

    /// Takes `codes` when they fit better than `best`.
    @discardableResult
    private mutating func keep(_ codes: InlineArray<4, UInt16>, _ best: inout Float) -> Bool {
      let (xq, qq) = grid8.sums(codes)
      guard qq > 0 && xq * xq > best * qq else { return false }
      scale = xq / qq
      best = scale * xq
      grid8.codes = codes
      return true
    }

    private mutating func refit() {
      let (xq, qq) = grid8.sums(grid8.codes)
      if qq > 0 { scale = xq / qq }
    }
  }
}

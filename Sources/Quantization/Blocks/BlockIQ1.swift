import Tensors

/// IQ1_S and IQ1_M, an entry of a grid for each eight weights of three levels, whose scale and shift 32 weights share, or 16
/// and 8: the bytes that `Grid8Blocks` reads (`quantize_row_iq1_*_impl` of ggml-quants.c, llama.cpp 0c1e57098).
///
/// Where an error is beyond all numbers, which takes enormous weights or importance, ggml aborts. Such a block is stored as
/// zeros with a scale that is NaN, so that it is refused as any other scale that overflowed.
enum BlockIQ1 {
  /// 16 or 32 weights on the grid.
  private struct Group {
    var split: TernarySplit
    var entries = InlineArray<4, UInt16>(repeating: 0)
    var isLost = false

    func isDown(_ eight: Int, of size: Int) -> Bool { split.isDown[size == 32 ? 0 : eight] }
  }

  static func quantizeS(
    _ x: Span<Float>, importance: Span<Float>?, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    for start in stride(from: 0, to: x.count, by: 256) {
      let values = x.extracting(start..<start + 256)
      let variance = ErrorWeights.variance(values, times: 2)
      var groups = InlineArray<8, Group>(repeating: Group(split: TernarySplit()))
      var (largest, isLost) = (0 as Float, false)
      for group in 0..<8 {
        let part = values.extracting(32 * group..<32 * group + 32)
        groups[group] = search(
          part, ErrorWeights.weights(part, importance, at: start + 32 * group, variance), epsilon: 1e-12)
        largest = largest > groups[group].split.scale ? largest : groups[group].split.scale
        isLost = isLost || groups[group].isLost
      }
      if isLost {
        GridBlocks.refuse(bytes: 50, &writer, &out)
        continue
      }
      writer.put(largest != 0 ? Half.bits(computed: largest / 15 * 1.125) : 0, &out)
      for group in 0..<8 {
        for eight in 0..<4 { writer.put(UInt8(groups[group].entries[eight] & 255), &out) }
      }
      for group in 0..<8 {
        var word: UInt16 = 0
        for eight in 0..<4 { word |= (groups[group].entries[eight] >> 8) << UInt16(3 * eight) }
        if largest != 0 {
          let shift: UInt16 = groups[group].split.isDown[0] ? 0x8000 : 0
          word |= UInt16(GridBlocks.scaleCode(groups[group].split.scale, of: largest, top: 7)) << 12 | shift
        }
        writer.put(word, &out)
      }
    }
  }

  static func quantizeM(
    _ x: Span<Float>, importance: Span<Float>?, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    for start in stride(from: 0, to: x.count, by: 256) {
      let values = x.extracting(start..<start + 256)
      let variance = ErrorWeights.variance(values, times: 2)
      var groups = InlineArray<16, Group>(repeating: Group(split: TernarySplit()))
      var (largest, isLost) = (0 as Float, false)
      for group in 0..<16 {
        let part = values.extracting(16 * group..<16 * group + 16)
        groups[group] = search(
          part, ErrorWeights.weights(part, importance, at: start + 16 * group, variance), epsilon: 1e-7)
        largest = largest > groups[group].split.scale ? largest : groups[group].split.scale
        isLost = isLost || groups[group].isLost
      }

      if isLost {
        for _ in 0..<48 { writer.put(0 as UInt8, &out) }
        for part in [0, 0, 0xE000, 0x7000] as [UInt16] { writer.put(part, &out) }
        continue
      }
      // With all levels and scales chosen, d is fitted once more.
      var scales = InlineArray<4, UInt16>(repeating: 0)
      if largest != 0 {
        var (d, xq, qq) = (largest / 15, 0 as Float, 0 as Float)
        for group in 0..<16 {
          let code = UInt16(GridBlocks.scaleCode(groups[group].split.scale, of: largest, top: 7))
          scales[group / 4] |= code << UInt16(3 * (group % 4))
          let part = values.extracting(16 * group..<16 * group + 16)
          let weights = ErrorWeights.weights(part, importance, at: start + 16 * group, variance)
          for i in 0..<16 {
            let q = value(groups[group], 16, i) * Float(2 * Int32(code) + 1)
            xq += weights[i] * q * part[i]
            qq += weights[i] * q * q
          }
        }
        if qq > 0 { d = xq / qq }
        let half = Half.bits(computed: d * 1.1125)
        for i in 0..<4 { scales[i] |= (half >> UInt16(4 * i)) << 12 }
      }
      for group in 0..<16 {
        for eight in 0..<2 { writer.put(UInt8(groups[group].entries[eight] & 255), &out) }
      }
      for group in 0..<16 {
        var byte: UInt8 = 0
        for eight in 0..<2 {
          let shift: UInt8 = largest != 0 && groups[group].split.isDown[eight] ? 8 : 0
          byte |= (UInt8(groups[group].entries[eight] >> 8) | shift) << UInt8(4 * eight)
        }
        writer.put(byte, &out)
      }
      for i in 0..<4 { writer.put(scales[i], &out) }
    }
  }

  private static func search(
    _ x: Span<Float>, _ weights: InlineArray<32, Float>, epsilon: Float
  ) -> Group {
    var maximum = x[0].magnitude
    for i in x.indices where x[i].magnitude > maximum { maximum = x[i].magnitude }
    guard maximum >= epsilon else { return Group(split: TernarySplit()) }

    let split = x.count == 32 ? TernarySplit.single(x, weights) : TernarySplit.double(x, weights)
    var group = Group(split: split)
    guard split.isStored else { return group }
    var isOnGrid = true
    for eight in 0..<x.count / 8 {
      var code: UInt16 = 0
      for i in 0..<8 { code |= UInt16(split.levels[8 * eight + i]) << UInt16(2 * i) }
      if Grid8.iq1.entry(of: code) == nil {
        isOnGrid = false
        guard let nearest = nearest(code, eight, x, weights, split, down: group.isDown(eight, of: x.count)) else {
          group.isLost = true
          return group
        }
        code = nearest
      }
      group.entries[eight] = UInt16(Grid8.iq1.entry(of: code) ?? 0)
      for i in 0..<8 { group.split.levels[8 * eight + i] = UInt8(code >> UInt16(2 * i) & 3) }
    }
    if !isOnGrid {
      var (xq, qq): (Float, Float) = (0, 0)
      for i in x.indices {
        let q = value(group, x.count, i)
        xq += weights[i] * q * x[i]
        qq += weights[i] * q * q
      }
      if xq > 0 && qq > 0 { group.split.scale = xq / qq }
    }
    if group.split.scale.isNaN { group.isLost = true }
    return group
  }

  /// What weight `i` of a group of `size` becomes, in units of its scale.
  private static func value(_ group: Group, _ size: Int, _ i: Int) -> Float {
    // A group of zeros is stored as the first entry.
    let level =
      group.split.isStored
      ? group.split.levels[i] : UInt8(Grid8.iq1.codes[0] >> UInt16(2 * (i % 8)) & 3)
    return TernarySplit.value(level, down: group.isDown(i / 8, of: size))
  }

  /// The first of the neighbours with the least error; nil where every error is beyond all numbers.
  private static func nearest(
    _ code: UInt16, _ eight: Int, _ x: Span<Float>, _ weights: borrowing InlineArray<32, Float>, _ split: TernarySplit,
    down: Bool
  ) -> UInt16? {
    var (nearest, least): (UInt16?, Float) = (nil, .greatestFiniteMagnitude)
    for neighbour in Grid8.iq1.neighbours(of: code) {
      var error: Float = 0
      for i in 0..<8 {
        let level = UInt8(neighbour >> UInt16(2 * i) & 3)
        let difference = split.scale * TernarySplit.value(level, down: down) - x[8 * eight + i]
        error += weights[8 * eight + i] * difference * difference
      }
      if error < least { (nearest, least) = (neighbour, error) }
    }
    return nearest
  }
}

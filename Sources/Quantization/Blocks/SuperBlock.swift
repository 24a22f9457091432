/// Sixteen or eight groups of a super-block of 256, as the searches left them.
struct SuperBlock {
  var levels = InlineArray<256, UInt8>(repeating: 0)
  var scales = InlineArray<32, Float>(repeating: 0)
  var minimums = InlineArray<32, Float>(repeating: 0)
  /// Sum of the weights of each group.
  var weights = InlineArray<32, Float>(repeating: 0)

  mutating func set(_ group: Int, size: Int, _ groupLevels: borrowing ScaleSearch.Levels) {
    for i in 0..<size { levels[group * size + i] = groupLevels[i] }
  }

  /// Rounds the values of a group anew on the stored scale and minimum: l = (x + m) / d.
  mutating func requantize(_ x: Span<Float>, group: Int, size: Int, d: Float, m: Float, levels n: Int32) {
    // Without a scale every level means the same; those of the search stay.
    guard d != 0 else { return }
    for i in group * size..<(group + 1) * size {
      levels[i] = UInt8(Rounding.nearest((x[i] + m) / d, in: 0...n))
    }
  }

  /// The same for l = x / d + n without a minimum.
  mutating func requantizeSymmetric(_ x: Span<Float>, group: Int, d: Float, levels n: Int32) {
    guard d != 0 else { return }
    for i in group * 16..<(group + 1) * 16 {
      levels[i] = UInt8(Rounding.nearest(x[i] / d, in: -n...n - 1) + n)
    }
  }

  /// 2-bit quants: of 128 elements, element l + 32 k at bits 2 k of byte l.
  func writePairs(_ writer: inout ByteWriter, _ out: inout MutableRawSpan) {
    for half in 0..<2 {
      for l in 0..<32 {
        let at = 128 * half + l
        let low = levels[at] | levels[at + 32] << 2
        writer.put(low | levels[at + 64] << 4 | levels[at + 96] << 6, &out)
      }
    }
  }
}

extension InlineArray where Element == Float {
  /// The largest positive value, 0 if there is none.
  func maximum(of count: Int) -> Float {
    var maximum: Float = 0
    for i in 0..<count where self[i] > maximum { maximum = self[i] }
    return maximum
  }

  /// The value of largest magnitude, the first of equals.
  func extreme(of count: Int) -> Float {
    var (extreme, magnitude): (Float, Float) = (0, 0)
    for i in 0..<count where self[i].magnitude > magnitude { (extreme, magnitude) = (self[i], self[i].magnitude) }
    return extreme
  }
}

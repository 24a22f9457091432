import Tensors

/// The numbers that the levels of one block stand for, with the scales that it has.
struct ScaledLevels {
  private let layout: LevelLayout
  private var scales = InlineArray<16, Float>(repeating: 0)
  private var offsets = InlineArray<16, Float>(repeating: 0)
  private var inverses = InlineArray<16, Float>(repeating: 0)

  init(_ layout: LevelLayout, _ block: BlockScales) {
    self.layout = layout
    for group in 0..<layout.groups { set(group, block) }
  }

  mutating func set(_ group: Int, _ block: borrowing BlockScales) {
    let scale = block.scale(group)
    scales[group] = scale
    offsets[group] = layout.hasOffset ? block.offset(group) : 0
    inverses[group] = scale == 0 ? 0 : 1 / scale
  }

  /// The level nearest to `x` (to the even one of two in the middle), and the number that it is read back as, to the bit.
  @inline(__always)
  func nearest(_ x: Float, group: Int) -> (level: UInt8, value: Float) {
    let level = layout.nearest((x + offsets[group]) * inverses[group])
    let product = scales[group] * layout.values[level]
    return (UInt8(level), layout.hasOffset ? product - offsets[group] : product)
  }
}

extension LevelLayout {
  /// The index of the value nearest to `scaled`; of something that is no number, any.
  @inline(__always)
  func nearest(_ scaled: Float) -> Int {
    let last = values.count - 1
    if isUniform {
      let rounded = scaled.rounded(.toNearestOrEven) - values[0]
      return rounded >= Float(last) ? last : rounded > 0 ? Int(rounded) : 0
    }
    var level = 0
    while level < last && values[level] + values[level + 1] < 2 * scaled { level += 1 }
    return level
  }
}

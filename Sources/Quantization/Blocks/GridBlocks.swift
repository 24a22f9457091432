import Tensors

/// What the blocks of IQ1, IQ2 and IQ3 have in common.
enum GridBlocks {
  typealias Groups = InlineArray<16, GridGroup>

  /// Searches each super-block's groups and lets `write` store them; `largest` is the largest of their scales.
  static func quantize(
    _ x: Span<Float>, importance: Span<Float>?, _ format: GridFormat<some LevelGrid>, _ writer: inout ByteWriter,
    _ out: inout MutableRawSpan,
    write: (_ groups: borrowing Groups, _ largest: Float, inout ByteWriter, inout MutableRawSpan) -> Void
  ) {
    for start in stride(from: 0, to: x.count, by: 256) {
      let values = x.extracting(start..<start + 256)
      let variance = ErrorWeights.variance(values, times: format.variance)
      let base = format.plainShare.map { $0 * variance } ?? 0
      var groups = Groups(repeating: GridGroup())
      var (isLost, largest) = (false, 0 as Float)
      for group in 0..<256 / format.size {
        let part = values.extracting(group * format.size..<(group + 1) * format.size)
        let weights = ErrorWeights.weights(
          part, importance, at: start + group * format.size, variance, base: base)
        var search = GridSearch(part, weights: weights, format)
        groups[group] = search.result()
        isLost = isLost || search.isLost
        largest = largest > groups[group].scale ? largest : groups[group].scale
      }
      if isLost {
        refuse(bytes: format.bytes, &writer, &out)
      } else {
        write(groups, largest, &writer, &out)
      }
    }
  }

  /// A block of zeros whose scale, at its beginning, is NaN.
  static func refuse(bytes: Int, _ writer: inout ByteWriter, _ out: inout MutableRawSpan) {
    writer.put(0x7E00 as UInt16, &out)
    for _ in 2..<bytes { writer.put(0 as UInt8, &out) }
  }

  /// s of (2 s + 1) / (2 `top` + 1), the fraction of the largest.
  static func scaleCode(_ scale: Float, of largest: Float, top: Int32 = 15) -> UInt32 {
    UInt32(Rounding.nearest(0.5 * (1 / (largest / Float(2 * top + 1)) * scale - 1), in: 0...top))
  }

  /// Those of two neighbours, the first in the low bits.
  static func scaleCodes(of groups: borrowing Groups, _ pair: Int, _ largest: Float) -> UInt8 {
    guard largest != 0 else { return 0 }
    return UInt8(
      scaleCode(groups[2 * pair].scale, of: largest) | scaleCode(groups[2 * pair + 1].scale, of: largest) << 4)
  }
}

import Tensors

/// Eight bits a weight and a scale for 32: w = d q.
///
/// 1. `d`, half: the largest magnitude / 127;
/// 2. `qs`, 32 signed bytes: x / d rounded to the nearest, halves away from zero.
///
/// Importance is not asked.
enum BlockQ8_0 {
  static func quantize(_ x: Span<Float>, _ writer: inout ByteWriter, _ out: inout MutableRawSpan) {
    for block in 0..<x.count / 32 {
      let values = x.extracting(block * 32..<block * 32 + 32)
      var magnitude: Float = 0
      for i in 0..<32 { magnitude = magnitude > values[i].magnitude ? magnitude : values[i].magnitude }
      let d = magnitude / 127
      let inverse = d != 0 ? 1 / d : 0
      writer.put(Half.bits(computed: d), &out)
      for i in 0..<32 {
        writer.put(Rounding.truncated((values[i] * inverse).rounded(.toNearestOrAwayFromZero)), &out)
      }
    }
  }
}

import Tensors

/// Formats for models that were trained to few levels: TQ1_0 and TQ2_0 (three levels), Q2_0 (the same, of four), Q1_0 (signs).
///
/// The scale is the largest magnitude, of Q1_0 the mean one. The bytes are those that `TernaryBlocks` reads
/// (`quantize_row_*_ref` of ggml-quants.c, llama.cpp 0c1e57098).
enum BlockTernary {
  static func quantizeTQ1(_ x: Span<Float>, _ writer: inout ByteWriter, _ out: inout MutableRawSpan) {
    for start in stride(from: 0, to: x.count, by: 256) {
      let values = x.extracting(start..<start + 256)
      let scale = Scale(values)
      func write(_ first: Int, bytes: Int, trits: Int, _ writer: inout ByteWriter, _ out: inout MutableRawSpan) {
        for l in 0..<bytes {
          var number = 0
          for k in 0..<5 {
            // What five trits would need and four do not fill is zero.
            number = number * 3 + (k < trits ? scale.trit(values[first + l + bytes * k], overflow: 1) : 0)
          }
          writer.put(UInt8((number * 256 + 242) / 243), &out)
        }
      }
      write(0, bytes: 32, trits: 5, &writer, &out)
      write(160, bytes: 16, trits: 5, &writer, &out)
      write(240, bytes: 4, trits: 4, &writer, &out)
      writer.put(Half.bits(scale.d), &out)
    }
  }

  static func quantizeTQ2(_ x: Span<Float>, _ writer: inout ByteWriter, _ out: inout MutableRawSpan) {
    for start in stride(from: 0, to: x.count, by: 256) {
      let values = x.extracting(start..<start + 256)
      let scale = Scale(values)
      for byte in 0..<64 {
        var bits = 0
        for k in 0..<4 { bits |= scale.trit(values[byte / 32 * 128 + byte % 32 + 32 * k], overflow: 1) << (2 * k) }
        writer.put(UInt8(bits), &out)
      }
      writer.put(Half.bits(scale.d), &out)
    }
  }

  static func quantizeQ2(_ x: Span<Float>, _ writer: inout ByteWriter, _ out: inout MutableRawSpan) {
    for start in stride(from: 0, to: x.count, by: 64) {
      let values = x.extracting(start..<start + 64)
      let scale = Scale(values)
      writer.put(Half.bits(scale.d), &out)
      for byte in 0..<16 {
        var bits = 0
        for k in 0..<4 { bits |= scale.trit(values[4 * byte + k], overflow: 0) << (2 * k) }
        writer.put(UInt8(bits), &out)
      }
    }
  }

  static func quantizeQ1(_ x: Span<Float>, _ writer: inout ByteWriter, _ out: inout MutableRawSpan) {
    for start in stride(from: 0, to: x.count, by: 128) {
      let values = x.extracting(start..<start + 128)
      var sum: Float = 0
      for i in values.indices { sum += values[i].magnitude }
      writer.put(Half.bits(sum / 128), &out)
      for byte in 0..<16 {
        var bits: UInt8 = 0
        for k in 0..<8 where values[8 * byte + k] >= 0 { bits |= 1 << UInt8(k) }
        writer.put(bits, &out)
      }
    }
  }

  /// The largest magnitude and what a value is multiplied with to be 1 at most.
  private struct Scale {
    let d: Float
    private let inverse: Float

    init(_ x: Span<Float>) {
      var d: Float = 0
      for i in x.indices where x[i].magnitude > d { d = x[i].magnitude }
      self.d = d
      inverse = d > 0 ? 1 / d : 0
    }

    /// −1, 0 or 1 by the nearest, halves away from zero, plus one.
    /// - Parameter overflow: the result where the inverse of a tiny scale is infinite: what is left of the integer that x86
    ///   makes of infinity and NaN in ggml's conversions.
    func trit(_ value: Float, overflow: Int) -> Int {
      inverse.isFinite ? Int((value * inverse).rounded(.toNearestOrAwayFromZero)) + 1 : overflow
    }
  }
}

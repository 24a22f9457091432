import Tensors

/// MXFP4 and NVFP4: floats of four bits with a scale for 32 or 16 of them.
///
/// The bytes are those that `Float4Blocks` reads (`quantize_row_mxfp4_ref` and `quantize_row_nvfp4_ref` of ggml-quants.c,
/// llama.cpp 0c1e57098).
enum BlockFloat4 {
  /// The exponent of the scale is that of the largest magnitude, less two: the largest code is 6, and what is above is cut.
  static func quantizeMX(_ x: Span<Float>, _ writer: inout ByteWriter, _ out: inout MutableRawSpan) {
    for start in stride(from: 0, to: x.count, by: 32) {
      let values = x.extracting(start..<start + 32)
      let largest = maximum(values)
      // Of a magnitude so small that the exponent is below zero, ggml keeps the lower eight bits: a scale far too large, with
      // which all codes are zero.
      let e = largest > 0 ? UInt8(truncatingIfNeeded: roundedLogarithm(largest) - 2 + 127) : 0
      writer.put(e, &out)
      write(values, scale: Float4Blocks.exponentScale(e), &writer, &out)
    }
  }

  static func quantizeNV(_ x: Span<Float>, _ writer: inout ByteWriter, _ out: inout MutableRawSpan) {
    for start in stride(from: 0, to: x.count, by: 64) {
      var scales = InlineArray<4, UInt8>(repeating: 0)
      for group in 0..<4 {
        scales[group] = fractionCode(maximum(x.extracting(start + 16 * group..<start + 16 * group + 16)) / 6)
        writer.put(scales[group], &out)
      }
      for group in 0..<4 {
        write(
          x.extracting(start + 16 * group..<start + 16 * group + 16), scale: Float4Blocks.fractionScale(scales[group]),
          &writer, &out)
      }
    }
  }

  private static func maximum(_ x: Span<Float>) -> Float {
    var maximum: Float = 0
    for i in x.indices where x[i].magnitude > maximum { maximum = x[i].magnitude }
    return maximum
  }

  private static func write(
    _ x: Span<Float>, scale: Float, _ writer: inout ByteWriter, _ out: inout MutableRawSpan
  ) {
    let half = x.count / 2
    for j in 0..<half { writer.put(code(x[j], scale) | code(x[j + half], scale) << 4, &out) }
  }

  /// The nearest code, of two as near the one of smaller magnitude.
  private static func code(_ x: Float, _ scale: Float) -> UInt8 {
    var (best, error): (UInt8, Float) = (0, x.magnitude)
    for candidate in 1..<8 as Range<UInt8> {
      let distance = (Float(Float4Blocks.magnitudes[Int(candidate)]) * scale - x.magnitude).magnitude
      if distance < error { (best, error) = (candidate, distance) }
    }
    return best > 0 && x < 0 ? best | 8 : best
  }

  /// ⌊log2 x⌋ where log2 is rounded to a float first, as log2f has it: a number closely below a power of two counts as that.
  ///
  /// With 1 − j 2^-24 times 2^n, log2 is n − j 2^-24 / ln 2, which becomes n when it is nearer to it than to the float
  /// below n.
  static func roundedLogarithm(_ x: Float) -> Int {
    let exponent = Int(x.exponent)
    let below = (2 - x.significand) * 0x1p23
    guard below <= 256 else { return exponent }
    let n = Float(exponent + 1)
    let gap = n - n.nextDown
    return Double(below) * 0x1p-24 / 0.693_147_180_559_945_3 < Double(gap) / 2 ? exponent + 1 : exponent
  }

  /// A scale that is not negative as UE4M3: at most 448, to the nearest by the first bit that is dropped.
  private static func fractionCode(_ x: Float) -> UInt8 {
    guard x > 0 else { return 0 }
    let x = min(x, 448)
    let exponent = Int(x.bitPattern >> 23) - 127 + 7
    // Below the smallest exponent, units of 2^-9.
    if exponent <= 0 { return UInt8(min(x * 512 + 0.5, 7)) }
    let rounded = (exponent << 3 | Int(x.bitPattern >> 20 & 7)) + Int(x.bitPattern >> 19 & 1)
    // Whatever has the greatest exponent becomes the greatest number.
    return rounded >= 15 << 3 ? 0x7E : UInt8(rounded)
  }
}

/// Weights of one scale and one, two or three levels a sign: ggml-common.h and `dequantize_row_*` of ggml-quants.c, llama.cpp
/// 0c1e57098.
enum TernaryBlocks {
  /// 256 weights. 1. `qs`, 48 bytes of five trits: of 160 elements, elements l + 32 k in byte l, k = 0…4, then of 80,
  /// elements l + 16 k in byte 32 + l; 2. `qh`, 4 bytes of four: elements 240 + l + 4 k in byte l; 3. `d`, half.
  /// w = d (trit − 1).
  static func tq1_0(_ b: RawSpan, _ at: Int, _ x: inout MutableSpan<Float>, _ to: Int) {
    let d = b.half(at + 52)
    func values(_ bytes: Range<Int>, trits: Int, _ to: Int, _ x: inout MutableSpan<Float>) {
      for k in 0..<trits {
        for (l, byte) in bytes.enumerated() {
          x[to + k * bytes.count + l] = Float(trit(k, of: b.byte(at + byte)) - 1) * d
        }
      }
    }
    values(0..<32, trits: 5, to, &x)
    values(32..<48, trits: 5, to + 160, &x)
    values(48..<52, trits: 4, to + 240, &x)
  }

  /// A byte is 256/243 of the number that its trits are, rounded up, so that multiplying by three moves the next trit, the
  /// first the highest, above eight bits.
  private static func trit(_ k: Int, of byte: UInt8) -> Int32 {
    var shifted = byte
    for _ in 0..<k { shifted &*= 3 }
    return Int32((UInt16(shifted) * 3) >> 8)
  }

  /// 256 weights. 1. `qs`, 64 bytes: of 128 elements, element l + 32 k at bits 2 k of byte l; 2. `d`, half. w = d (q − 1).
  static func tq2_0(_ b: RawSpan, _ at: Int, _ x: inout MutableSpan<Float>, _ to: Int) {
    let d = b.half(at + 64)
    for i in 0..<256 {
      let q = b.byte(at + 32 * (i / 128) + i % 32) >> UInt8(i % 128 / 32 * 2) & 3
      x[to + i] = Float(Int32(q) - 1) * d
    }
  }

  /// 128 weights. 1. `d`, half; 2. `qs`, 16 bytes, element j at bit j. w = d or −d.
  static func q1_0(_ b: RawSpan, _ at: Int, _ x: inout MutableSpan<Float>, _ to: Int) {
    let d = b.half(at)
    for j in 0..<128 { x[to + j] = b.byte(at + 2 + j / 8) >> UInt8(j % 8) & 1 == 1 ? d : -d }
  }

  /// 64 weights. 1. `d`, half; 2. `qs`, 16 bytes, element j at bits 2 (j mod 4) of byte j / 4. w = d (q − 1).
  static func q2_0(_ b: RawSpan, _ at: Int, _ x: inout MutableSpan<Float>, _ to: Int) {
    let d = b.half(at)
    for j in 0..<64 { x[to + j] = Float(Int32(b.byte(at + 2 + j / 4) >> UInt8(j % 4 * 2) & 3) - 1) * d }
  }
}

/// Super-blocks of 256: ggml-common.h and `dequantize_row_*` of ggml-quants.c, llama.cpp 0c1e57098.
enum KBlocks {
  /// 1. `scales`, 16 bytes: 4-bit scale below, 4-bit min above, one of each for 16 elements; 2. `qs`, 64 bytes of 2-bit
  /// quants; 3. `d`; 4. `dmin`. w = d scale q − dmin min.
  static func q2_K(_ b: RawSpan, _ at: Int, _ x: inout MutableSpan<Float>, _ to: Int) {
    let (d, dmin) = (b.half(at + 80), b.half(at + 82))
    for group in 0..<16 {
      let scale = b.byte(at + group)
      let dl = d * Float(scale & 0xF)
      let ml = dmin * Float(scale >> 4)
      let (half, shift) = (group / 8, UInt8(group % 8 / 2 * 2))
      for l in 0..<16 {
        let q = b.byte(at + 16 + 32 * half + 16 * (group % 2) + l) >> shift & 3
        x[to + 16 * group + l] = dl * Float(q) - ml
      }
    }
  }

  /// 1. `hmask`, 32 bytes: the third bit of element j at bit j / 32 of byte j % 32; 2. `qs`, 64 bytes of 2-bit quants;
  /// 3. `scales`, 12 bytes of sixteen 6-bit scales; 4. `d`. w = d (scale − 32) (q − 4).
  static func q3_K(_ b: RawSpan, _ at: Int, _ x: inout MutableSpan<Float>, _ to: Int) {
    let d = b.half(at + 108)
    for group in 0..<16 {
      let low = b.byte(at + 96 + group % 8) >> UInt8(group / 8 * 4) & 0xF
      let high = b.byte(at + 104 + group % 4) >> UInt8(group / 4 * 2) & 3
      let dl = d * Float(Int32(low | high << 4) - 32)
      let (half, plane) = (group / 8, group % 8 / 2)
      for l in 0..<16 {
        let column = 16 * (group % 2) + l
        let q = Int32(b.byte(at + 32 + 32 * half + column) >> UInt8(2 * plane) & 3)
        let isHigh = b.byte(at + column) >> UInt8(4 * half + plane) & 1 == 1
        x[to + 16 * group + l] = dl * Float(q - (isHigh ? 0 : 4))
      }
    }
  }

  /// The 6-bit scale and min of group `j` in the 12 bytes at `at`, as Q4_K and Q5_K pack them: those of groups 0 to 3 in
  /// the low six bits of bytes 0 to 7, those of groups 4 to 7 as nibbles in bytes 8 to 11 with their upper bits above the
  /// former.
  @inline(__always)
  static func scaleAndMin(_ b: RawSpan, _ at: Int, _ j: Int) -> (scale: UInt8, min: UInt8) {
    if j < 4 { return (b.byte(at + j) & 63, b.byte(at + j + 4) & 63) }
    let nibbles = b.byte(at + j + 4)
    return (nibbles & 0xF | (b.byte(at + j - 4) >> 6) << 4, nibbles >> 4 | (b.byte(at + j) >> 6) << 4)
  }

  /// 1. `d`; 2. `dmin`; 3. `scales`, 12 bytes; 4. `qs`, 128 bytes: of 64 elements, the first 32 low. w = d s q − dmin m.
  static func q4_K(_ b: RawSpan, _ at: Int, _ x: inout MutableSpan<Float>, _ to: Int) {
    let (d, dmin) = (b.half(at), b.half(at + 2))
    for group in 0..<8 {
      let (scale, min) = scaleAndMin(b, at + 4, group)
      let (d1, m1) = (d * Float(scale), dmin * Float(min))
      for l in 0..<32 {
        let q = b.byte(at + 16 + 32 * (group / 2) + l) >> UInt8(group % 2 * 4) & 0xF
        x[to + 32 * group + l] = d1 * Float(q) - m1
      }
    }
  }

  /// 1. `d`; 2. `dmin`; 3. `scales`, 12 bytes; 4. `qh`, 32 bytes: the fifth bit of element l of group g at bit g of byte l;
  /// 5. `qs`, 128 bytes as in Q4_K. w = d s q − dmin m.
  static func q5_K(_ b: RawSpan, _ at: Int, _ x: inout MutableSpan<Float>, _ to: Int) {
    let (d, dmin) = (b.half(at), b.half(at + 2))
    for group in 0..<8 {
      let (scale, min) = scaleAndMin(b, at + 4, group)
      let (d1, m1) = (d * Float(scale), dmin * Float(min))
      for l in 0..<32 {
        let q = b.byte(at + 48 + 32 * (group / 2) + l) >> UInt8(group % 2 * 4) & 0xF
        let high = b.byte(at + 16 + l) >> UInt8(group) & 1
        x[to + 32 * group + l] = d1 * Float(q | high << 4) - m1
      }
    }
  }

  /// 1. `ql`, 128 bytes of low nibbles; 2. `qh`, 64 bytes of upper bit pairs; 3. `scales`, 16 signed bytes; 4. `d`.
  /// w = d scale (q − 32).
  static func q6_K(_ b: RawSpan, _ at: Int, _ x: inout MutableSpan<Float>, _ to: Int) {
    let d = b.half(at + 208)
    for group in 0..<16 {
      let scale = d * Float(Int8(bitPattern: b.byte(at + 192 + group)))
      // Of 128 elements, quarter 0 and 2 share bytes 0 to 31 of `ql`, quarter 1 and 3 bytes 32 to 63.
      let (half, quarter) = (group / 8, group % 8 / 2)
      for l in 0..<16 {
        let column = 16 * (group % 2) + l
        let low = b.byte(at + 64 * half + 32 * (quarter % 2) + column) >> UInt8(quarter / 2 * 4) & 0xF
        let high = b.byte(at + 128 + 32 * half + column) >> UInt8(2 * quarter) & 3
        x[to + 16 * group + l] = scale * Float(Int32(low | high << 4) - 32)
      }
    }
  }
}

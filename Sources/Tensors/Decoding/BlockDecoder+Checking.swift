extension BlockDecoder {
  /// The first block of `bytes` that means no finite numbers: its scale or minimum, or for a plain number it itself, is
  /// infinite or NaN. llama.cpp refuses to write such a tensor (`ggml_validate_row_data`, llama.cpp 0c1e57098).
  ///
  /// Finite weights can have infinite scales, for most formats store these as halves of at most 65,504.
  /// - Parameter bytes: whole blocks.
  /// - Returns: `nil` also for the types that cannot hold such numbers.
  public static func firstNonFiniteBlock(_ bytes: RawSpan, as type: DType) -> Int? {
    let size = type.blockBytes
    precondition(bytes.byteCount % size == 0, "not whole blocks")
    let blocks = bytes.byteCount / size

    func first(_ isBroken: (Int) -> Bool) -> Int? { (0..<blocks).first { isBroken($0 * size) } }
    func isBroken(_ half: UInt16) -> Bool { half & 0x7C00 == 0x7C00 }
    switch type {
    case .f64: return first { !Double(bitPattern: bytes.word($0)).isFinite }
    case .f32: return first { !Float(bitPattern: bytes.word($0)).isFinite }
    case .f16: return first { isBroken(bytes.word($0)) }
    case .bf16: return first { !BrainFloat.float(bytes.word($0)).isFinite }
    case .f8E4M3: return first { bytes.byte($0) & 0x7F == 0x7F }
    case .f8E5M2: return first { bytes.byte($0) & 0x7C == 0x7C }
    case .q4_0, .q5_0, .q8_0, .iq1_S, .iq2_XXS, .iq2_XS, .iq2_S, .iq3_XXS, .iq3_S, .iq4_NL, .iq4_XS, .q1_0, .q2_0:
      return first { isBroken(bytes.word($0)) }
    case .q4_1, .q5_1, .q8_1, .q4_K, .q5_K:
      return first { isBroken(bytes.word($0)) || isBroken(bytes.word($0 + 2)) }
    case .q2_K: return first { isBroken(bytes.word($0 + 80)) || isBroken(bytes.word($0 + 82)) }
    case .q3_K, .q6_K, .tq1_0, .tq2_0: return first { isBroken(bytes.word($0 + size - 2)) }
    case .q8_K: return first { !Float(bitPattern: bytes.word($0)).isFinite }
    case .iq1_M:
      // The upper nibbles of four words of scales are the half; its exponent is in the last two.
      return first { at in
        let (low, high): (UInt16, UInt16) = (bytes.word(at + 52), bytes.word(at + 54))
        return isBroken(low >> 4 & 0x0F00 | high & 0xF000)
      }
    case .mxfp4: return first { bytes.byte($0) == 0xFF }
    case .nvfp4, .i64, .i32, .i16, .i8, .u64, .u32, .u16, .u8, .bool: return nil
    }
  }
}

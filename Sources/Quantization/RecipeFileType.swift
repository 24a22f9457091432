public import Tensors

/// What a whole file is quantized to: a base type and the rules by which some tensors get another.
///
/// Names and ids are llama-quantize's (llama.cpp 0c1e57098, `llama_ftype`); the id is written as `general.file_type`.
public enum FileType: UInt32, Sendable, Hashable, CaseIterable {
  case f32 = 0
  case f16 = 1
  case q4_0 = 2
  case q4_1 = 3
  case q8_0 = 7
  case q5_0 = 8
  case q5_1 = 9
  case q2_K = 10
  case q3_K_S = 11
  case q3_K_M = 12
  case q3_K_L = 13
  case q4_K_S = 14
  case q4_K_M = 15
  case q5_K_S = 16
  case q5_K_M = 17
  case q6_K = 18
  case iq2_XXS = 19
  case iq2_XS = 20
  case q2_K_S = 21
  case iq3_XS = 22
  case iq3_XXS = 23
  case iq1_S = 24
  case iq4_NL = 25
  case iq3_S = 26
  case iq3_M = 27
  case iq2_S = 28
  case iq2_M = 29
  case iq4_XS = 30
  case iq1_M = 31
  case bf16 = 32
  case tq1_0 = 36
  case tq2_0 = 37
  case mxfp4_MoE = 38
  case q1_0 = 40
  case q2_0 = 41

  private struct Row {
    let name: String
    let aliases: [String]
    let base: DType
    let summary: String

    init(_ name: String, _ base: DType, _ summary: String, aliases: [String] = []) {
      (self.name, self.aliases, self.base, self.summary) = (name, aliases, base, summary)
    }
  }

  private static func row(_ type: FileType) -> Row {
    switch type {
    case .f32: Row("F32", .f32, "32 bits: every weight as a full float; for reference only")
    case .f16: Row("F16", .f16, "16 bits: half floats; clips BF16 checkpoints with extreme values")
    case .bf16: Row("BF16", .bf16, "16 bits: what most checkpoints are in, so nothing is lost")
    case .q8_0: Row("Q8_0", .q8_0, "8.5 bits: practically lossless, quickest to make")
    case .q6_K: Row("Q6_K", .q6_K, "6.6 bits: hard to tell from the original")
    case .q5_K_M:
      Row("Q5_K_M", .q5_K, "5.7 bits: very small loss; half of attn_v, ffn_down in Q6_K", aliases: ["Q5_K"])
    case .q5_K_S: Row("Q5_K_S", .q5_K, "5.6 bits: Q5_K throughout, output in Q6_K")
    case .q5_1: Row("Q5_1", .q5_1, "6.0 bits: older format with scale and minimum; Q5_K is better")
    case .q5_0: Row("Q5_0", .q5_0, "5.6 bits: older format with a scale only; Q5_K is better")
    case .q4_K_M:
      Row("Q4_K_M", .q4_K, "4.9 bits: the usual choice; half of attn_v, ffn_down in Q6_K", aliases: ["Q4_K"])
    case .q4_K_S: Row("Q4_K_S", .q4_K, "4.7 bits: Q4_K with the first layers a little better")
    case .q4_1: Row("Q4_1", .q4_1, "5.1 bits: older format with scale and minimum; Q4_K is better")
    case .q4_0: Row("Q4_0", .q4_0, "4.6 bits: older format with a scale only; quickest on some CPUs")
    case .iq4_NL: Row("IQ4_NL", .iq4_NL, "4.7 bits: sixteen uneven levels; fits rows of 32")
    case .iq4_XS: Row("IQ4_XS", .iq4_XS, "4.5 bits: IQ4_NL's levels in super-blocks; close to Q4_K_S")
    case .mxfp4_MoE: Row("MXFP4_MOE", .mxfp4, "experts in 4.25-bit microscaling floats, all else Q8_0")
    case .q3_K_L: Row("Q3_K_L", .q3_K, "4.3 bits: Q3_K with attention and ffn_down in Q5_K")
    case .q3_K_M: Row("Q3_K_M", .q3_K, "4.0 bits: Q3_K with attention and ffn_down in Q4_K", aliases: ["Q3_K"])
    case .q3_K_S: Row("Q3_K_S", .q3_K, "3.6 bits: Q3_K throughout; noticeable loss")
    case .iq3_M: Row("IQ3_M", .iq3_S, "3.8 bits: IQ3_S with attention in Q4_K")
    case .iq3_S: Row("IQ3_S", .iq3_S, "3.7 bits: a codebook of fours of weights; the size of Q3_K_S")
    case .iq3_XS: Row("IQ3_XS", .iq3_S, "3.5 bits: IQ3_S, parts in IQ3_XXS; needs an importance matrix")
    case .iq3_XXS: Row("IQ3_XXS", .iq3_XXS, "3.4 bits: smallest of three bits; needs an importance matrix")
    case .q2_K: Row("Q2_K", .q2_K, "3.2 bits: Q2_K with attention and ffn_down in Q3_K; large loss")
    case .q2_K_S: Row("Q2_K_S", .q2_K, "3.0 bits: Q2_K throughout; needs an importance matrix")
    case .iq2_M: Row("IQ2_M", .iq2_S, "2.9 bits: IQ2_S, attention in IQ3_S; needs an importance matrix")
    case .iq2_S: Row("IQ2_S", .iq2_XS, "2.7 bits: IQ2_XS, attention in IQ3_S; needs an importance matrix")
    case .iq2_XS: Row("IQ2_XS", .iq2_XS, "2.6 bits: for very large models; needs an importance matrix")
    case .iq2_XXS: Row("IQ2_XXS", .iq2_XXS, "2.4 bits: for very large models; needs an importance matrix")
    case .iq1_M: Row("IQ1_M", .iq1_M, "2.1 bits: last resort; needs an importance matrix")
    case .iq1_S: Row("IQ1_S", .iq1_S, "2.0 bits: last resort; needs an importance matrix")
    case .tq2_0: Row("TQ2_0", .tq2_0, "2.5 bits: for models trained with ternary weights")
    case .tq1_0: Row("TQ1_0", .tq1_0, "2.2 bits: the same packed tighter, slower to read")
    case .q2_0: Row("Q2_0", .q2_0, "2.7 bits: four levels a weight; for models trained to them")
    case .q1_0: Row("Q1_0", .q1_0, "1.5 bits: a sign a weight; for models trained with binary weights")
    }
  }

  /// llama.cpp's number for it, written as `general.file_type`.
  public var id: UInt32 { rawValue }
  /// As llama-quantize spells it: `Q4_K_M`.
  public var name: String { FileType.row(self).name }
  /// Other names for the same: `Q4_K` for `Q4_K_M`.
  public var aliases: [String] { FileType.row(self).aliases }
  /// One line: how many bits a weight takes in a Llama of 8 billion, and what it is good for.
  public var summary: String { FileType.row(self).summary }
  /// What a tensor gets that no rule speaks of.
  public var base: DType { FileType.row(self).base }

  private static let byName: [String: FileType] = {
    var table: [String: FileType] = [:]
    for type in allCases { for name in [type.name] + type.aliases { table[name] = type } }
    return table
  }()

  /// By name or alias, in any case.
  public init?(name: String) {
    guard let type = FileType.byName[name.uppercased()] else { return nil }
    self = type
  }

  /// The plain type that loses nothing of the first matrix: `f32`, `f16` or `bf16`; `f16` when there is none of these.
  public static func native(of tensors: [Tensor]) -> FileType {
    switch tensors.first(where: { $0.shape.rank >= 2 })?.dtype {
    case .f32: .f32
    case .bf16: .bf16
    default: .f16
    }
  }
}

extension FileType: CustomStringConvertible {
  public var description: String { name }
}

public import Bytes

/// The type of a tensor's elements: a plain number, or one of ggml's blocks of quantized weights.
///
/// One table holds everything that the formats agree on: the name, ggml's type id and the size of a block. Sources: ggml
/// `ggml.h` (enum ggml_type) and `ggml-common.h` (block structs) at llama.cpp 0c1e57098.
public enum DType: UInt8, Sendable, Hashable, CaseIterable {
  case f64, f32, f16, bf16, f8E4M3, f8E5M2
  case i64, i32, i16, i8, u64, u32, u16, u8, bool
  case q4_0, q4_1, q5_0, q5_1, q8_0, q8_1
  case q2_K, q3_K, q4_K, q5_K, q6_K, q8_K
  case iq1_S, iq1_M, iq2_XXS, iq2_XS, iq2_S, iq3_XXS, iq3_S, iq4_NL, iq4_XS
  case tq1_0, tq2_0, mxfp4, nvfp4, q1_0, q2_0

  struct Row {
    let name: String
    let ggmlID: UInt32?
    let blockElements: Int
    let blockBytes: Int

    init(_ name: String, _ ggmlID: UInt32?, _ blockElements: Int, _ blockBytes: Int) {
      (self.name, self.ggmlID, self.blockElements, self.blockBytes) = (name, ggmlID, blockElements, blockBytes)
    }
  }

  /// In the order of the cases.
  private static let table: [Row] = [
    Row("F64", 28, 1, 8), Row("F32", 0, 1, 4), Row("F16", 1, 1, 2), Row("BF16", 30, 1, 2),
    Row("F8_E4M3", nil, 1, 1), Row("F8_E5M2", nil, 1, 1),
    Row("I64", 27, 1, 8), Row("I32", 26, 1, 4), Row("I16", 25, 1, 2), Row("I8", 24, 1, 1),
    Row("U64", nil, 1, 8), Row("U32", nil, 1, 4), Row("U16", nil, 1, 2), Row("U8", nil, 1, 1), Row("BOOL", nil, 1, 1),
    Row("Q4_0", 2, 32, 18), Row("Q4_1", 3, 32, 20), Row("Q5_0", 6, 32, 22), Row("Q5_1", 7, 32, 24),
    Row("Q8_0", 8, 32, 34), Row("Q8_1", 9, 32, 36),
    Row("Q2_K", 10, 256, 84), Row("Q3_K", 11, 256, 110), Row("Q4_K", 12, 256, 144), Row("Q5_K", 13, 256, 176),
    Row("Q6_K", 14, 256, 210), Row("Q8_K", 15, 256, 292),
    Row("IQ1_S", 19, 256, 50), Row("IQ1_M", 29, 256, 56), Row("IQ2_XXS", 16, 256, 66), Row("IQ2_XS", 17, 256, 74),
    Row("IQ2_S", 22, 256, 82), Row("IQ3_XXS", 18, 256, 98), Row("IQ3_S", 21, 256, 110), Row("IQ4_NL", 20, 32, 18),
    Row("IQ4_XS", 23, 256, 136),
    Row("TQ1_0", 34, 256, 54), Row("TQ2_0", 35, 256, 66), Row("MXFP4", 39, 32, 17), Row("NVFP4", 40, 64, 36),
    Row("Q1_0", 41, 128, 18), Row("Q2_0", 42, 64, 18),
  ]

  private var row: Row { DType.table[Int(rawValue)] }

  /// The field's name: `Q4_K`, `BF16`.
  public var name: String { row.name }
  /// ggml's number for it in a GGUF file; `nil` for what GGUF cannot hold.
  public var ggmlID: UInt32? { row.ggmlID }
  /// Elements in a block; 1 for plain numbers.
  public var blockElements: Int { row.blockElements }
  /// Bytes of a block.
  public var blockBytes: Int { row.blockBytes }
  public var bitsPerElement: Double { Double(blockBytes * 8) / Double(blockElements) }
  public var isBlock: Bool { blockElements > 1 }
  /// Whether it holds real numbers, which a weight must.
  public var isFloatingPoint: Bool { rawValue <= DType.f8E5M2.rawValue }

  private static let byID: [UInt32: DType] = Dictionary(
    uniqueKeysWithValues: allCases.compactMap { type in type.ggmlID.map { ($0, type) } })
  private static let byName: [String: DType] = Dictionary(uniqueKeysWithValues: allCases.map { ($0.name, $0) })

  public init?(ggmlID: UInt32) {
    guard let type = DType.byID[ggmlID] else { return nil }
    self = type
  }

  /// By name, in any case.
  public init?(name: String) {
    guard let type = DType.byName[name.uppercased()] else { return nil }
    self = type
  }

  /// Bytes of `elements` consecutive elements, counted in whole blocks, so that no product of bytes and elements can wrap.
  /// - Throws: `SHAPE` when they do not fill whole blocks, `OVERFLOW`.
  public func byteCount(of elements: Int) throws(InputError) -> Int {
    guard elements % blockElements == 0 else {
      throw InputError(.shape, "\(elements) elements do not fill whole \(name) blocks of \(blockElements)")
    }
    return try SizeArithmetic.product(elements / blockElements, blockBytes)
  }
}

extension DType: CustomStringConvertible {
  public var description: String { name }
}

public import Tensors

/// Numbers -> stored elements: ggml's reference quantizers, bit for bit (llama.cpp 0c1e57098, ggml-quants.c, built without
/// fused multiply-add as it ships for x86).
///
/// `quantizeReference` is the definition, in plain Swift; `quantize` gives the same bytes and uses a kernel where there is
/// one.
public enum BlockQuantizer {
  /// Quantizes X (rows, columns).
  ///
  /// - Parameters:
  ///   - x: rows one after another, all finite: what ggml does with NaN is undefined (see `firstNonFinite`).
  ///   - columns: elements of a row, a whole number of blocks of `type`.
  ///   - importance: of each column, shared by all rows; the weighted search is used when it is given. Formats that have
  ///     none (`Q8_0`, plain numbers) ignore it.
  ///   - out: at least as many bytes as the blocks take; those are overwritten.
  public static func quantize(
    _ x: Span<Float>, columns: Int, as type: DType, importance: Span<Float>?, into out: inout MutableRawSpan
  ) {
    if !Kernels.quantize(x, columns: columns, as: type, importance: importance, into: &out) {
      quantizeReference(x, columns: columns, as: type, importance: importance, into: &out)
    }
  }

  /// The definition of `quantize`.
  public static func quantizeReference(
    _ x: Span<Float>, columns: Int, as type: DType, importance: Span<Float>?, into out: inout MutableRawSpan
  ) {
    precondition(columns > 0 && columns % type.blockElements == 0 && x.count % columns == 0, "not whole rows of blocks")
    if let importance { precondition(importance.count == columns, "importance is not one a column") }
    precondition(out.byteCount / type.blockBytes >= x.count / type.blockElements, "too small an output")
    for row in 0..<x.count / columns {
      let values = x.extracting(row * columns..<(row + 1) * columns)
      var writer = ByteWriter(position: row * (columns / type.blockElements) * type.blockBytes)
      switch type {
      case .f32: for value in 0..<columns { writer.put(values[value].bitPattern, &out) }
      case .f16: for value in 0..<columns { writer.put(Half.bits(values[value]), &out) }
      case .bf16: for value in 0..<columns { writer.put(BrainFloat.bits(values[value]), &out) }
      case .q8_0: BlockQ8_0.quantize(values, &writer, &out)
      case .q4_0: Symmetric32.quantize(values, bits: 4, importance: importance, &writer, &out)
      case .q5_0: Symmetric32.quantize(values, bits: 5, importance: importance, &writer, &out)
      case .q4_1: Affine32.quantize(values, bits: 4, importance: importance, &writer, &out)
      case .q5_1: Affine32.quantize(values, bits: 5, importance: importance, &writer, &out)
      case .q2_K: BlockQ2_K.quantize(values, importance: importance, &writer, &out)
      case .q3_K: BlockQ3_K.quantize(values, importance: importance, &writer, &out)
      case .q4_K: BlockQ45_K.quantize(values, bits: 4, importance: importance, &writer, &out)
      case .q5_K: BlockQ45_K.quantize(values, bits: 5, importance: importance, &writer, &out)
      case .q6_K: BlockQ6_K.quantize(values, importance: importance, &writer, &out)
      case .iq3_XXS: BlockIQ3.quantizeXXS(values, importance: importance, &writer, &out)
      case .iq3_S: BlockIQ3.quantizeS(values, importance: importance, &writer, &out)
      case .iq4_NL: BlockIQ4.quantizeNL(values, importance: importance, &writer, &out)
      case .iq4_XS: BlockIQ4.quantizeXS(values, importance: importance, &writer, &out)
      case .iq2_XXS: BlockIQ2.quantizeXXS(values, importance: importance, &writer, &out)
      case .iq2_XS: BlockIQ2.quantizeXS(values, importance: importance, &writer, &out)
      case .iq2_S: BlockIQ2.quantizeS(values, importance: importance, &writer, &out)
      case .iq1_S: BlockIQ1.quantizeS(values, importance: importance, &writer, &out)
      case .iq1_M: BlockIQ1.quantizeM(values, importance: importance, &writer, &out)
      case .tq1_0: BlockTernary.quantizeTQ1(values, &writer, &out)
      case .tq2_0: BlockTernary.quantizeTQ2(values, &writer, &out)
      case .q2_0: BlockTernary.quantizeQ2(values, &writer, &out)
      case .q1_0: BlockTernary.quantizeQ1(values, &writer, &out)
      case .mxfp4: BlockFloat4.quantizeMX(values, &writer, &out)
      case .nvfp4: BlockFloat4.quantizeNV(values, &writer, &out)
      default: preconditionFailure("\(type) has no quantizer; ask `supports` first")
      }
    }
  }

  /// Whether `quantize` knows `type`.
  public static func supports(_ type: DType) -> Bool {
    switch type {
    case .f32, .f16, .bf16, .q8_0, .q4_0, .q4_1, .q5_0, .q5_1, .q2_K, .q3_K, .q4_K, .q5_K, .q6_K: true
    case .iq2_XXS, .iq2_XS, .iq2_S, .iq1_S, .iq1_M, .iq3_XXS, .iq3_S: true
    case .iq4_NL, .iq4_XS, .tq1_0, .tq2_0, .q2_0, .q1_0, .mxfp4, .nvfp4: true
    default: false
    }
  }

  /// Whether ggml's quantizer of `type` cannot do without importance. llama-quantize demands it of more types, for their
  /// result is poor without: that is for a `Recipe` to say.
  public static func requiresImportance(_ type: DType) -> Bool {
    type == .iq2_XXS || type == .iq2_XS || type == .iq1_S
  }

  /// The index of the first value that is NaN or infinite.
  public static func firstNonFinite(_ x: Span<Float>) -> Int? {
    // A kernel tells whether a chunk has one; only a bad chunk is searched.
    for start in stride(from: 0, to: x.count, by: 4096) {
      let range = start..<min(start + 4096, x.count)
      if !Kernels.areFinite(x.extracting(range)) { return range.first { !x[$0].isFinite } }
    }
    return nil
  }
}

/// Writes little-endian values one after another.
struct ByteWriter {
  var position: Int

  @inline(__always)
  mutating func put<T: FixedWidthInteger & BitwiseCopyable>(_ value: T, _ out: inout MutableRawSpan) {
    out.storeBytes(of: value.littleEndian, toByteOffset: position, as: T.self)
    position += MemoryLayout<T>.size
  }
}

import CKernels
import Synchronization

/// The safe face of `CKernels`: the block formats' arithmetic in C, many blocks at once, compiled for several instruction
/// sets of which the best is chosen when the program runs.
///
/// A kernel gives the same bits as the Swift definition of its format on every instruction set; it may be absent. What is
/// out of bounds stops here: C sees only spans whose sizes were proved to fit.
public enum Kernels {
  /// The instruction set in use: `v4` (AVX-512), `v3` (AVX2), `baseline` (SSE2) or `arm64` (NEON).
  public static var instructionSet: String { unsafe String(cString: quern_kernels_isa()) }

  /// The value of the environment variable `QUERN_ISA` when it names no instruction set of this machine. The best one is in
  /// use then, and the caller should say so.
  public static var unknownInstructionSet: String? {
    guard let name = unsafe quern_kernels_unknown_isa() else { return nil }
    return unsafe String(cString: name)
  }

  /// Whether `quantize` has a kernel.
  public static func quantizes(_ type: DType, withImportance: Bool) -> Bool {
    quern_kernels_quantizes(type.kernelID, withImportance)
  }

  /// Whether `decode` has a kernel.
  public static func decodes(_ type: DType) -> Bool { quern_kernels_dequantizes(type.kernelID) }

  /// X (rows, columns) -> blocks of `type`, row after row.
  ///
  /// - Parameters:
  ///   - x: whole rows, all finite.
  ///   - columns: a whole number of blocks, more than none.
  ///   - importance: of each column, or none.
  ///   - out: at least as many bytes as the blocks take; those are overwritten.
  /// - Returns: false, and nothing is written, when there is no kernel.
  public static func quantize(
    _ x: Span<Float>, columns: Int, as type: DType, importance: Span<Float>?, into out: inout MutableRawSpan
  ) -> Bool {
    precondition(columns > 0 && columns % type.blockElements == 0 && x.count % columns == 0, "not whole rows of blocks")
    precondition(out.byteCount / type.blockBytes >= x.count / type.blockElements, "too small an output")
    if let importance { precondition(importance.count == columns, "importance is not one a column") }
    return unsafe x.withUnsafeBufferPointer { x in
      unsafe out.withUnsafeMutableBytes { out in
        guard let from = x.baseAddress, let to = out.baseAddress else { return quantizes(type, withImportance: false) }
        let (rows, columns) = (Int64(x.count / columns), Int64(columns))
        guard let importance else { return unsafe quern_quantize(type.kernelID, from, to, rows, columns, nil) }
        return unsafe importance.withUnsafeBufferPointer {
          unsafe quern_quantize(type.kernelID, from, to, rows, columns, $0.baseAddress)
        }
      }
    }
  }

  /// Blocks of `type` -> `x.count` numbers.
  ///
  /// - Parameters:
  ///   - bytes: whole blocks, at least as many as `x` takes.
  ///   - x: a whole number of blocks.
  /// - Returns: false, and nothing is written, when there is no kernel.
  public static func decode(_ bytes: RawSpan, as type: DType, into x: inout MutableSpan<Float>) -> Bool {
    precondition(x.count % type.blockElements == 0, "not whole blocks")
    precondition(bytes.byteCount / type.blockBytes >= x.count / type.blockElements, "too few bytes")
    return unsafe bytes.withUnsafeBytes { bytes in
      unsafe x.withUnsafeMutableBufferPointer { x in
        guard let from = bytes.baseAddress, let to = x.baseAddress else { return decodes(type) }
        return unsafe quern_dequantize(type.kernelID, from, to, Int64(x.count))
      }
    }
  }
}

extension Kernels {
  /// All that a build may have, best first.
  private static let names = ["v4", "v3", "arm64", "baseline"]
  private static let forcing = Mutex(())

  /// Instruction sets of this machine, best first.
  package static var instructionSets: [String] { names.filter { isSupported($0) } }

  /// Calls `body` while the instruction set `name` is in use, one caller at a time; for tests. Who computes in other threads
  /// meanwhile has it too, and sees no difference.
  package static func using<Result>(_ name: String, _ body: () throws -> Result) rethrows -> Result {
    try forcing.withLock { _ in
      let before = instructionSet
      precondition(use(name), "no instruction set of this machine")
      defer { _ = use(before) }
      return try body()
    }
  }

  private static func isSupported(_ name: String) -> Bool {
    forcing.withLock { _ in
      let before = instructionSet
      defer { _ = use(before) }
      return use(name)
    }
  }

  private static func use(_ name: String) -> Bool { unsafe quern_kernels_use(name) }
}

extension DType {
  /// The number of a type in `CKernels`: ggml's, or one of our own for what ggml does not have.
  fileprivate var kernelID: UInt32 {
    switch self {
    case .f8E4M3: UInt32(QUERN_TYPE_F8_E4M3)
    case .f8E5M2: UInt32(QUERN_TYPE_F8_E5M2)
    default: ggmlID ?? .max
    }
  }
}

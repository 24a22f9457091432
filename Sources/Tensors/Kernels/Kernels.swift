import CKernels
import Synchronization

/// The safe face of the block kernels: ggml's bytes, many blocks at once.
///
/// Each does what `BlockDecoder.decodeReference` and `BlockQuantizer.quantizeReference` define, to the bit, on every
/// instruction set. The best set of the machine is chosen when the first kernel is asked for; the environment variable
/// `QUERN_ISA` names another one. Pointers into C are only here and in the tables beside it.
public enum Kernels {
  /// The instruction set in use: `v4`, `v3` (levels of x86-64), `arm64` or `baseline`.
  public static var instructionSet: String { unsafe String(cString: quern_kernels_isa()) }

  /// All that this machine can run, best first.
  public static var instructionSets: [String] {
    var names: [String] = []
    while let name = unsafe quern_kernels_available(Int32(names.count)) { unsafe names.append(String(cString: name)) }
    return names
  }

  /// What `QUERN_ISA` says when that names no set that this machine can run. It is ignored then; a command should say so.
  public static var unknownInstructionSet: String? {
    unsafe quern_kernels_unknown_isa().map { unsafe String(cString: $0) }
  }

  /// Chooses an instruction set for the whole process; for tests.
  /// - Returns: whether there is one of that name.
  package static func use(_ name: String) -> Bool { unsafe quern_kernels_use(name) }

  private static let forcing = Mutex(())

  /// What `body` gives while the instruction set `name` is in use; nil when there is none of that name. One caller at a time:
  /// tests that run side by side would else take each other's set away.
  package static func using<Result>(_ name: String, _ body: () throws -> Result) rethrows -> Result? {
    try forcing.withLock { _ in
      let before = instructionSet
      guard use(name) else { return nil }
      defer { _ = use(before) }
      return try body()
    }
  }

  /// Quantizes X (rows, columns).
  ///
  /// - Parameters:
  ///   - x: rows one after another, all finite.
  ///   - columns: elements of a row, a whole number of blocks of `type`.
  ///   - importance: of each column; ignored by formats that have none.
  ///   - out: at least as many bytes as the blocks take; those are overwritten.
  /// - Returns: whether there is a kernel; without one nothing is written.
  public static func quantize(
    _ x: Span<Float>, columns: Int, as type: DType, importance: Span<Float>?, into out: inout MutableRawSpan
  ) -> Bool {
    precondition(columns > 0 && columns % type.blockElements == 0 && x.count % columns == 0, "not whole rows of blocks")
    if let importance { precondition(importance.count == columns, "importance is not one a column") }
    precondition(out.byteCount / type.blockBytes >= x.count / type.blockElements, "too small an output")
    guard let id = type.kernelID else { return false }
    return unsafe x.withUnsafeBufferPointer { x in
      unsafe out.withUnsafeMutableBytes { out in
        // Of nothing there may be no address.
        guard let source = x.baseAddress, let target = out.baseAddress else {
          return quern_kernels_quantizes(id, importance != nil)
        }
        let rows = Int64(x.count / columns)
        guard let importance else { return unsafe quern_quantize(id, source, target, rows, Int64(columns), nil) }
        return unsafe importance.withUnsafeBufferPointer { weights in
          unsafe quern_quantize(id, source, target, rows, Int64(columns), weights.baseAddress)
        }
      }
    }
  }

  /// Decodes `x.count` elements.
  ///
  /// - Parameters:
  ///   - bytes: whole blocks of `type`, at least as many as `x` takes.
  ///   - x: a whole number of blocks.
  /// - Returns: whether there is a kernel; without one nothing is written.
  public static func decode(_ bytes: RawSpan, as type: DType, into x: inout MutableSpan<Float>) -> Bool {
    precondition(x.count % type.blockElements == 0, "not whole blocks")
    precondition(bytes.byteCount / type.blockBytes >= x.count / type.blockElements, "too few bytes")
    guard let id = type.kernelID else { return false }
    return unsafe bytes.withUnsafeBytes { bytes in
      unsafe x.withUnsafeMutableBufferPointer { x in
        guard let source = bytes.baseAddress, let target = x.baseAddress else { return quern_kernels_dequantizes(id) }
        return unsafe quern_dequantize(id, source, target, Int64(x.count))
      }
    }
  }

  /// Whether none of `x` is NaN or infinite.
  public static func areFinite(_ x: Span<Float>) -> Bool {
    unsafe x.withUnsafeBufferPointer { x in
      guard let source = x.baseAddress else { return true }
      return unsafe quern_all_finite(source, Int64(x.count))
    }
  }
}

extension DType {
  /// The number of the type in CKernels: ggml's where it has one.
  fileprivate var kernelID: UInt32? {
    switch self {
    case .f8E4M3: UInt32(QUERN_TYPE_F8_E4M3)
    case .f8E5M2: UInt32(QUERN_TYPE_F8_E5M2)
    default: ggmlID
    }
  }
}

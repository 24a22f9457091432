#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif
import Bytes

/// Zeroed numbers from a multiple of 64 bytes on. Kernels may write as much behind them.
@safe final class AlignedMemory<Number: BitwiseCopyable> {
  let base: UnsafeMutablePointer<Number>
  private let start: UnsafeMutableRawPointer

  /// - Throws: `LIMIT` when the memory cannot be had, `OVERFLOW`.
  init(_ count: Int) throws(InputError) {
    let bytes = try SizeArithmetic.sum(SizeArithmetic.product(count, MemoryLayout<Number>.stride), 128)
    guard let memory = unsafe calloc(bytes, 1) else {
      throw InputError(
        .limit, "no memory for \(bytes) bytes of matrices", remedy: "use a smaller --memory, or fewer --jobs")
    }
    unsafe start = memory
    unsafe base = memory.alignedUp(toMultipleOf: 64).bindMemory(to: Number.self, capacity: count)
  }

  deinit { unsafe free(start) }
}

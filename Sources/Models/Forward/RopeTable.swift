#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif
import Bytes
import Tensors

/// Cosines and sines of rotary position embedding (Su et al., arXiv:2104.09864), for positions from 0.
struct RopeTable: Sendable {
  /// (positions, headSize / 2)
  let cosines: Matrix
  let sines: Matrix

  /// - Parameters:
  ///   - frequencies: of every pair of a head: the angle it turns by from one position to the next, in radians.
  ///   - magnitude: what rotated vectors are multiplied with.
  init(positions: Int, frequencies: [Float], magnitude: Double) throws(InputError) {
    cosines = try Matrix(rows: positions, columns: frequencies.count)
    sines = try Matrix(rows: positions, columns: frequencies.count)
    for (pair, frequency) in frequencies.enumerated() {
      for position in 0..<positions {
        let angle = Double(Float(position) * frequency)
        unsafe cosines.view.pointer(row: position)[pair] = Float(cos(angle) * magnitude)
        unsafe sines.view.pointer(row: position)[pair] = Float(sin(angle) * magnitude)
      }
    }
  }
}

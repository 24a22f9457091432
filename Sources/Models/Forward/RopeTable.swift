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
///
/// Pair `i` of a head turns by `position · theta^(-2i/headSize) / divisor[i]`, computed in F64 and rounded once.
struct RopeTable: Sendable {
  /// (positions, headSize / 2)
  let cosines: Matrix
  let sines: Matrix

  /// - Parameters:
  ///   - divisors: `rope_freqs.weight`, when the model has it.
  ///   - positionScale: what positions are multiplied with: `1 / factor` under linear scaling.
  init(
    positions: Int, headSize: Int, theta: Double, divisors: [Float]?, positionScale: Double
  ) throws(InputError) {
    let half = headSize / 2
    cosines = try Matrix(rows: positions, columns: half)
    sines = try Matrix(rows: positions, columns: half)
    for pair in 0..<half {
      let divisor = divisors.map { Double($0[pair]) } ?? 1
      let frequency = Float(pow(theta, -2 * Double(pair) / Double(headSize)) / divisor * positionScale)
      for position in 0..<positions {
        let angle = Double(Float(position) * frequency)
        unsafe cosines.view.pointer(row: position)[pair] = Float(cos(angle))
        unsafe sines.view.pointer(row: position)[pair] = Float(sin(angle))
      }
    }
  }
}

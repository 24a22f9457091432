import Tensors

/// What ggml's search for the scales of a block takes an error of each value to cost where no importance is given (llama.cpp
/// 0c1e57098, ggml-quants.c).
package enum MagnitudeWeights {
  /// - Parameter x: the values of a block.
  package static func weights(_ x: Span<Float>, _ layout: LevelLayout) -> [Float] {
    switch layout.type {
    case .q2_K: x.indices.map { x[$0].magnitude }
    case .q3_K, .q6_K, .iq4_NL, .iq4_XS: x.indices.map { x[$0] * x[$0] }
    case .q4_K, .q5_K:
      stride(from: 0, to: x.count, by: layout.groupSize).flatMap { start in
        let group = start..<start + layout.groupSize
        var sum: Float = 0
        for index in group { sum += x[index] * x[index] }
        let mean = (sum / Float(group.count)).squareRoot()
        return group.map { mean + x[$0].magnitude }
      }
    // The others take the largest value for the scale and do not search.
    default: [Float](repeating: 1, count: x.count)
    }
  }
}

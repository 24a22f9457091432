import Tensors

/// How far stored weights are from those they were made from.
enum WeightError {
  /// ‖a − b‖ / ‖b‖ over all elements, b the reference; 0 when both are zero everywhere, NaN when one of them has an element
  /// that is no finite number.
  ///
  /// Pieces of rows are summed apart and added in their order, so that the result does not depend on `jobs`.
  static func relativeRMS(of tensor: Tensor, from reference: Tensor, jobs: Int) throws -> Double {
    guard tensor.shape == reference.shape else { return .nan }
    let step = max(1, (1 << 18) / max(1, tensor.columns))
    let pieces = (tensor.rows + step - 1) / step
    let sums = try Parallel.map(pieces, jobs: jobs) { piece in
      let rows = piece * step..<min(tensor.rows, (piece + 1) * step)
      let (a, b) = (try tensor.values(of: rows), try reference.values(of: rows))
      var (difference, total) = (0.0, 0.0)
      for index in a.indices {
        let error = Double(a[index]) - Double(b[index])
        difference += error * error
        total += Double(b[index]) * Double(b[index])
      }
      return [difference, total]
    }
    let difference = sums.reduce(0) { $0 + $1[0] }
    let total = sums.reduce(0) { $0 + $1[1] }
    guard difference.isFinite, total.isFinite else { return .nan }
    return total > 0 ? (difference / total).squareRoot() : difference > 0 ? .infinity : 0
  }
}

extension Tensor {
  /// The elements of `rows` as numbers.
  func values(of rows: Range<Int>) throws -> [Float] {
    let bytes = try read(rows: rows)
    var values = [Float](repeating: 0, count: rows.count * columns)
    var span = values.mutableSpan
    unsafe BlockDecoder.decode(bytes.span.bytes, as: dtype, into: &span)
    return values
  }
}

import CKernels
#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Arithmetic on rows of F32, by kernels. Lengths are elements; pointers must be good for them.
///
/// Each does what `RowDefinition` says, to the bit, on every instruction set.
@safe package enum RowMath {
  package typealias Row = UnsafeMutablePointer<Float>

  /// `y = x / sqrt(mean(x²) + epsilon) · weight`. `y` may be `x`.
  package static func rmsNorm(_ x: Row, _ weight: Row, epsilon: Float, into y: Row, count: Int) {
    unsafe quern_row_rms_norm(x, weight, epsilon, y, Int64(count))
  }

  /// Rotates each pair `(2i, 2i+1)` of each of `heads` heads by the angle whose cosine and sine are given (`headSize / 2`
  /// of each).
  package static func rotate(_ x: Row, heads: Int, headSize: Int, cosines: Row, sines: Row) {
    unsafe quern_row_rotate(x, Int64(heads), Int64(headSize), cosines, sines)
  }

  /// The largest element, NaN never being it; -∞ when there is none.
  package static func maximum(_ x: Row, count: Int) -> Float { unsafe quern_row_maximum(x, Int64(count)) }

  /// `x = e^(x - max) / Σ e^(x - max)`: softmax, sound for any finite input.
  package static func softmax(_ x: Row, count: Int) { unsafe quern_row_softmax(x, Int64(count)) }

  /// `gate = silu(gate) · up`, where `silu(x) = x / (1 + e^-x)`.
  package static func swiGLU(_ gate: Row, _ up: Row, count: Int) { unsafe quern_row_swiglu(gate, up, Int64(count)) }

  /// Of a row, with its maximum.
  package static func exponentialSum(_ x: Row, count: Int) -> ExponentialSum {
    let maximum = unsafe maximum(x, count: count)
    return ExponentialSum(maximum: maximum, sum: unsafe sumOfExponentials(x, maximum: maximum, count: count))
  }

  /// `Σ e^(x - maximum)`.
  package static func sumOfExponentials(_ x: Row, maximum: Float, count: Int) -> Double {
    unsafe quern_row_sum_of_exponentials(x, maximum, Int64(count))
  }

  /// The divergence of two rows of logits p and q, as `Σ p (e^-d − 1 + d)` with `d = ln p − ln q`.
  ///
  /// It is `Σ p d`, since `Σ p (e^-d − 1) = Σ q − Σ p = 0`. But the terms of `Σ p d` are of either sign and cancel; none of
  /// these is negative, and an error of `shift` does not show in the first order.
  /// - Returns: the divergence times p's `sum`.
  package static func divergence(
    _ p: Row, _ pSum: ExponentialSum, _ q: Row, _ qSum: ExponentialSum, count: Int
  ) -> Double {
    var of = quern_divergence(
      x_maximum: pSum.maximum, y_maximum: qSum.maximum, shift: Float(pSum.logarithm - qSum.logarithm),
      ratio: Float(pSum.sum / qSum.sum))
    return unsafe quern_row_divergence(p, q, &of, Int64(count))
  }

  /// The first place that holds `value`; -1 when none does.
  package static func firstIndex(of value: Float, in x: Row, count: Int) -> Int {
    unsafe Int(quern_row_index(x, value, Int64(count)))
  }

  /// `x += y`.
  package static func add(_ y: Row, to x: Row, count: Int) {
    for index in 0..<count { unsafe x[index] += y[index] }
  }

  /// `x += y · factor`.
  package static func add(_ y: Row, times factor: Float, to x: Row, count: Int) {
    for index in 0..<count { unsafe x[index] += y[index] * factor }
  }
}

/// `Σ e^x` of a row, as `sum · e^maximum`.
package struct ExponentialSum: Hashable, Sendable {
  package var maximum: Float
  /// `Σ e^(x - maximum)`.
  package var sum: Double

  package init(maximum: Float, sum: Double) { (self.maximum, self.sum) = (maximum, sum) }

  /// `ln Σ e^x`.
  package var logarithm: Double { Double(maximum) + log(sum) }
}

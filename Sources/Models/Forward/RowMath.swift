/// Arithmetic on rows of F32, eight lanes at a time. Lengths are elements; pointers must be good for them.
///
/// Sums are taken in eight lanes in a fixed order, so results do not depend on threads.
@safe package enum RowMath {
  package typealias Lanes = SIMD8<Float>
  package typealias Row = UnsafeMutablePointer<Float>

  @inline(__always) static func load(_ row: Row, _ index: Int) -> Lanes {
    unsafe UnsafeRawPointer(row + index).loadUnaligned(as: Lanes.self)
  }

  @inline(__always) private static func store(_ lanes: Lanes, _ row: Row, _ index: Int) {
    unsafe UnsafeMutableRawPointer(row + index).storeBytes(of: lanes, as: Lanes.self)
  }

  /// The last `count < 8` elements from `index` on, the missing lanes filled with `padding`.
  @inline(__always) private static func loadTail(
    _ row: Row, _ index: Int, _ count: Int, _ padding: Float = 0
  ) -> Lanes {
    var lanes = Lanes(repeating: padding)
    for lane in 0..<count { unsafe lanes[lane] = row[index + lane] }
    return lanes
  }

  @inline(__always) private static func storeTail(_ lanes: Lanes, _ row: Row, _ index: Int, _ count: Int) {
    for lane in 0..<count { unsafe row[index + lane] = lanes[lane] }
  }

  /// eˣ within 2 units in the last place for x from -87 to 88, clamped outside; NaN stays NaN. The polynomial is that of
  /// the Cephes library's `expf`.
  @inline(__always) package static func exp(_ value: Lanes) -> Lanes {
    var x = value
    x.replace(with: -87, where: x .< -87)
    x.replace(with: 88, where: x .> 88)
    // Adding 1.5 · 2²³ leaves the nearest whole number of x / ln 2 in the low bits.
    let shifted = x * 1.44269504088896341 + 12582912
    let n = shifted - 12582912
    let r = x - n * 0.693359375 + n * 2.12194440e-4
    var p = Lanes(repeating: 1.9875691500e-4)
    p = p * r + 1.3981999507e-3
    p = p * r + 8.3334519073e-3
    p = p * r + 4.1665795894e-2
    p = p * r + 1.6666665459e-1
    p = p * r + 5.0000001201e-1
    p = p * (r * r) + r + 1
    let exponent = unsafe unsafeBitCast(shifted, to: SIMD8<UInt32>.self) &<< 23
    let scale = unsafe unsafeBitCast(exponent &+ 0x3F80_0000, to: Lanes.self)
    return p * scale
  }

  /// `y = x / sqrt(mean(x²) + epsilon) · weight`. `y` may be `x`.
  package static func rmsNorm(_ x: Row, _ weight: Row, epsilon: Float, into y: Row, count: Int) {
    let whole = count & ~7
    var squares = Lanes()
    for index in stride(from: 0, to: whole, by: 8) {
      let lanes = unsafe load(x, index)
      squares += lanes * lanes
    }
    if whole < count {
      let lanes = unsafe loadTail(x, whole, count - whole)
      squares += lanes * lanes
    }
    let scale = 1 / (squares.sum() / Float(count) + epsilon).squareRoot()
    for index in stride(from: 0, to: whole, by: 8) {
      unsafe store(load(x, index) * scale * load(weight, index), y, index)
    }
    for index in whole..<count { unsafe y[index] = x[index] * scale * weight[index] }
  }

  /// Rotates each pair `(2i, 2i+1)` of each of `heads` heads by the angle whose cosine and sine are given (`headSize / 2`
  /// of each).
  package static func rotate(_ x: Row, heads: Int, headSize: Int, cosines: Row, sines: Row) {
    for head in 0..<heads {
      let row = unsafe x + head * headSize
      for pair in 0..<headSize / 2 {
        let (a, b) = unsafe (row[2 * pair], row[2 * pair + 1])
        let (c, s) = unsafe (cosines[pair], sines[pair])
        unsafe row[2 * pair] = a * c - b * s
        unsafe row[2 * pair + 1] = a * s + b * c
      }
    }
  }

  /// The largest element; -∞ when there is none.
  package static func maximum(_ x: Row, count: Int) -> Float {
    let whole = count & ~7
    var best = Lanes(repeating: -.infinity)
    for index in stride(from: 0, to: whole, by: 8) {
      let lanes = unsafe load(x, index)
      best.replace(with: lanes, where: lanes .> best)
    }
    if whole < count {
      let lanes = unsafe loadTail(x, whole, count - whole, -.infinity)
      best.replace(with: lanes, where: lanes .> best)
    }
    return best.max()
  }

  /// `x = e^(x - max) / Σ e^(x - max)`: softmax, sound for any finite input.
  package static func softmax(_ x: Row, count: Int) {
    let maximum = unsafe maximum(x, count: count)
    let whole = count & ~7
    var sums = Lanes()
    for index in stride(from: 0, to: whole, by: 8) {
      let lanes = unsafe exp(load(x, index) - maximum)
      sums += lanes
      unsafe store(lanes, x, index)
    }
    if whole < count {
      let lanes = unsafe exp(loadTail(x, whole, count - whole, -.infinity) - maximum)
      for lane in 0..<count - whole { sums[lane] += lanes[lane] }
      unsafe storeTail(lanes, x, whole, count - whole)
    }
    let scale = 1 / sums.sum()
    for index in stride(from: 0, to: whole, by: 8) { unsafe store(load(x, index) * scale, x, index) }
    for index in whole..<count { unsafe x[index] *= scale }
  }

  /// `gate = silu(gate) · up`, where `silu(x) = x / (1 + e^-x)`.
  package static func swiGLU(_ gate: Row, _ up: Row, count: Int) {
    let whole = count & ~7
    for index in stride(from: 0, to: whole, by: 8) {
      let lanes = unsafe load(gate, index)
      unsafe store(lanes / (1 + exp(-lanes)) * load(up, index), gate, index)
    }
    if whole < count {
      let lanes = unsafe loadTail(gate, whole, count - whole)
      unsafe storeTail(lanes / (1 + exp(-lanes)) * loadTail(up, whole, count - whole), gate, whole, count - whole)
    }
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

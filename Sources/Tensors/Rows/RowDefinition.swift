/// What the kernels of `RowMath` compute, in plain Swift: sixteen lanes, one element after another of each, whose sums are
/// halved at the end, the upper half added to the lower one. No fused multiply-adds.
package enum RowDefinition {
  package typealias Lanes = SIMD16<Float>

  /// Elements whose sum is taken in F32 before it joins an F64 total.
  private static let stretch = 512

  /// eˣ within 2 units in the last place for x from -87 to 88, clamped outside; NaN stays NaN. The polynomial is that of
  /// the Cephes library's `expf`.
  package static func exp(_ value: Lanes) -> Lanes {
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
    let exponent = unsafe unsafeBitCast(shifted, to: SIMD16<UInt32>.self) &<< 23
    return unsafe p * unsafeBitCast(exponent &+ 0x3F80_0000, to: Lanes.self)
  }

  /// Sixteen elements from `first` on, with `padding` behind the last.
  private static func lanes(_ x: [Float], _ first: Int, _ padding: Float) -> Lanes {
    var lanes = Lanes(repeating: padding)
    for lane in 0..<min(16, x.count - first) { lanes[lane] = x[first + lane] }
    return lanes
  }

  /// The same with zeros in the lanes behind `count`.
  private static func kept(_ lanes: Lanes, _ count: Int) -> Lanes {
    var kept = lanes
    for lane in min(16, count)..<16 { kept[lane] = 0 }
    return kept
  }

  private static func sum(_ lanes: Lanes) -> Float {
    let eight = lanes.lowHalf + lanes.highHalf
    let four = eight.lowHalf + eight.highHalf
    let two = four.lowHalf + four.highHalf
    return two[0] + two[1]
  }

  package static func maximum(_ x: [Float]) -> Float { x.reduce(-.infinity) { $1 > $0 ? $1 : $0 } }

  package static func softmax(_ x: [Float]) -> [Float] {
    let maximum = maximum(x)
    var (sums, values) = (Lanes(), [Float]())
    for first in stride(from: 0, to: x.count, by: 16) {
      let lanes = kept(exp(lanes(x, first, 0) - maximum), x.count - first)
      sums += lanes
      values += (0..<min(16, x.count - first)).map { lanes[$0] }
    }
    let scale = 1 / sum(sums)
    return values.map { $0 * scale }
  }

  package static func swiGLU(_ gate: [Float], _ up: [Float]) -> [Float] {
    zip(gate, up).map { gate, up in gate / (1 + exp(Lanes(repeating: -gate))[0]) * up }
  }

  package static func rmsNorm(_ x: [Float], _ weight: [Float], epsilon: Float) -> [Float] {
    var squares = Lanes()
    for first in stride(from: 0, to: x.count, by: 16) { squares += lanes(x, first, 0) * lanes(x, first, 0) }
    let scale = 1 / (sum(squares) / Float(x.count) + epsilon).squareRoot()
    return zip(x, weight).map { $0 * scale * $1 }
  }

  package static func rotate(_ x: [Float], heads: Int, headSize: Int, cosines: [Float], sines: [Float]) -> [Float] {
    var y = x
    for head in 0..<heads {
      for pair in 0..<headSize / 2 {
        let place = head * headSize + 2 * pair
        let (a, b, c, s) = (x[place], x[place + 1], cosines[pair], sines[pair])
        y[place] = a * c - b * s
        y[place + 1] = b * c + a * s
      }
    }
    return y
  }

  package static func sumOfExponentials(_ x: [Float], maximum: Float) -> Double {
    var total = 0.0
    for start in stride(from: 0, to: x.count, by: stretch) {
      let part = Array(x[start..<min(x.count, start + stretch)])
      var sums = Lanes()
      for first in stride(from: 0, to: part.count, by: 16) {
        sums += kept(exp(lanes(part, first, 0) - maximum), part.count - first)
      }
      total += Double(sum(sums))
    }
    return total
  }

  /// See `RowMath.divergence`.
  package static func divergence(_ p: [Float], _ pSum: ExponentialSum, _ q: [Float], _ qSum: ExponentialSum) -> Double {
    let (shift, ratio) = (Float(pSum.logarithm - qSum.logarithm), Float(pSum.sum / qSum.sum))
    var total = 0.0
    for start in stride(from: 0, to: p.count, by: stretch) {
      let part = start..<min(p.count, start + stretch)
      let (x, y) = (Array(p[part]), Array(q[part]))
      var sums = Lanes()
      for first in stride(from: 0, to: x.count, by: 16) {
        let (x, y, count) = (lanes(x, first, 0), lanes(y, first, 0), x.count - first)
        let d = x - y - shift
        let weight = exp(x - pSum.maximum)
        // e^-d − 1 + d by its series up to 1/2; beyond, weight · e^-d is the other model's weight.
        var series = Lanes(repeating: -1 / 362_880)
        for factor: Float in [1 / 40320, -1 / 5040, 1 / 720, -1 / 120, 1 / 24, -1 / 6, 1 / 2] {
          series = series * d + factor
        }
        let far = weight * (d - 1) + exp(y - qSum.maximum) * ratio
        let near = weight * (series * d * d)
        sums += kept(far.replacing(with: near, where: (d .<= 0.5) .& (d .>= -0.5)), count)
      }
      total += Double(sum(sums))
    }
    return total
  }
}

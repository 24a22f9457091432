import Foundation
import TestSupport
import Tensors
import Testing

/// The kernels on rows give the bits of their definition, on every instruction set and at every length.
@Suite(.serialized) struct RowMathTests {
  static let counts = [1, 2, 7, 8, 15, 16, 17, 31, 64, 100, 511, 512, 513, 1040]

  static func random(_ count: Int, seed: UInt64, reach: Float = 9) -> [Float] {
    var generator = SeededGenerator(seed: seed)
    return (0..<count).map { _ in Float.random(in: -reach...reach, using: &generator) }
  }

  static func bits(_ x: [Float]) -> [UInt32] { x.map { $0.isNaN ? Float.nan.bitPattern : $0.bitPattern } }

  /// What `kernel` makes of copies of `rows`, on each set beside `expected`; nothing behind a row may change.
  static func expect(
    _ expected: [Float], of rows: [Float], _ kernel: (RowMath.Row) -> Void, location: SourceLocation = #_sourceLocation
  ) {
    for name in Kernels.instructionSets {
      let found = Kernels.using(name) {
        var copy = rows + [Float](repeating: -7, count: 16)
        unsafe copy.withUnsafeMutableBufferPointer { unsafe kernel($0.baseAddress!) }
        return copy
      }
      guard let found else { continue }
      #expect(bits(Array(found.prefix(rows.count))) == bits(expected), "\(name)", sourceLocation: location)
      #expect(found.suffix(16).allSatisfy { $0 == -7 }, "\(name)", sourceLocation: location)
    }
  }

  /// The values of the first row's elements, then of what follows it.
  static func withRow<Result>(_ x: [Float], _ body: (RowMath.Row) -> Result) -> Result {
    var copy = x
    return unsafe copy.withUnsafeMutableBufferPointer { unsafe body($0.baseAddress!) }
  }

  @Test(arguments: counts) func softmax(_ count: Int) {
    for reach in [Float(1), 9, 200] {
      let x = Self.random(count, seed: UInt64(count), reach: reach)
      unsafe Self.expect(RowDefinition.softmax(x), of: x) { unsafe RowMath.softmax($0, count: count) }
    }
  }

  @Test(arguments: counts) func swiGLU(_ count: Int) {
    let (gate, up) = (Self.random(count, seed: 1, reach: 95), Self.random(count, seed: 2))
    unsafe Self.withRow(up) { up in
      unsafe Self.expect(RowDefinition.swiGLU(gate, Self.random(count, seed: 2)), of: gate) {
        unsafe RowMath.swiGLU($0, up, count: count)
      }
    }
  }

  @Test(arguments: counts) func rmsNorm(_ count: Int) {
    let (x, weight) = (Self.random(count, seed: 3), Self.random(count, seed: 4))
    unsafe Self.withRow(weight) { row in
      unsafe Self.expect(RowDefinition.rmsNorm(x, weight, epsilon: 1e-5), of: x) {
        unsafe RowMath.rmsNorm($0, row, epsilon: 1e-5, into: $0, count: count)
      }
    }
  }

  @Test(arguments: [(1, 2), (3, 6), (2, 10), (2, 16), (9, 64), (1, 80), (3, 100)])
  func rotation(_ heads: Int, _ headSize: Int) {
    let x = Self.random(heads * headSize, seed: 5)
    let (c, s) = (Self.random(headSize / 2, seed: 6, reach: 1), Self.random(headSize / 2, seed: 7, reach: 1))
    unsafe Self.withRow(c) { cosines in
      unsafe Self.withRow(s) { sines in
        unsafe Self.expect(RowDefinition.rotate(x, heads: heads, headSize: headSize, cosines: c, sines: s), of: x) {
          unsafe RowMath.rotate($0, heads: heads, headSize: headSize, cosines: cosines, sines: sines)
        }
      }
    }
  }

  @Test(arguments: counts + [0]) func numbersReadFromRows(_ count: Int) {
    let x = Self.random(count, seed: 8)
    let xMaximum = RowDefinition.maximum(x)
    for name in Kernels.instructionSets {
      Kernels.using(name) {
        unsafe Self.withRow(x + [20]) { p in
          let sum = unsafe RowMath.exponentialSum(p, count: count)
          #expect(sum.maximum == xMaximum, "\(name)")
          #expect(sum.sum == RowDefinition.sumOfExponentials(x, maximum: xMaximum), "\(name)")
          for (place, value) in x.enumerated() {
            #expect(unsafe RowMath.firstIndex(of: value, in: p, count: count) == x.firstIndex(of: value), "\(place)")
          }
          #expect(unsafe RowMath.firstIndex(of: 20, in: p, count: count) == -1)
        }
      }
    }
  }

  /// Rows that differ by less than the series reaches, by about as much, and by far more.
  @Test(arguments: counts + [0], [Float(0), 1e-3, 0.6, 9])
  func divergence(_ count: Int, _ apart: Float) {
    let p = Self.random(count, seed: 8)
    let q = zip(p, Self.random(count, seed: 9, reach: 1)).map { $0 + $1 * apart }
    func sum(_ x: [Float]) -> ExponentialSum {
      let maximum = RowDefinition.maximum(x)
      return ExponentialSum(maximum: maximum, sum: RowDefinition.sumOfExponentials(x, maximum: maximum))
    }
    let (pSum, qSum) = (sum(p), sum(q))
    let expected = RowDefinition.divergence(p, pSum, q, qSum)
    for name in Kernels.instructionSets {
      Kernels.using(name) {
        unsafe Self.withRow(p + [20]) { x in
          unsafe Self.withRow(q + [-20]) { y in
            let found = unsafe RowMath.divergence(x, pSum, y, qSum, count: count)
            #expect(found == expected, "\(name)")
          }
        }
      }
    }
    guard count > 0 else { return }
    // Σ p (ln p − ln q) in F64.
    func logSum(_ x: [Float]) -> Double { log(x.reduce(0) { $0 + exp(Double($1)) }) }
    let (pLog, qLog) = (logSum(p), logSum(q))
    let exact = zip(p, q).reduce(0) { sum, pair in
      let (a, b) = (Double(pair.0) - pLog, Double(pair.1) - qLog)
      return sum + exp(a) * (a - b)
    }
    #expect((expected / pSum.sum - exact).magnitude <= 2e-6 * exact + (apart == 0 ? 0 : 1e-15))
  }

  /// A NaN is never the largest, and never lost from a sum.
  @Test(arguments: [0, 5, 16, 40]) func aNaNShows(_ place: Int) {
    var x = Self.random(41, seed: 10)
    x[place] = .nan
    let maximum = RowDefinition.maximum(x)
    unsafe Self.expect(RowDefinition.softmax(x), of: x) { unsafe RowMath.softmax($0, count: x.count) }
    for name in Kernels.instructionSets {
      Kernels.using(name) {
        unsafe Self.withRow(x) { row in
          #expect(unsafe RowMath.maximum(row, count: x.count) == maximum)
          #expect(unsafe RowMath.sumOfExponentials(row, maximum: maximum, count: x.count).isNaN)
        }
      }
    }
  }
}

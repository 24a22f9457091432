import Bytes
import Models
import Tensors
import TestSupport
import Testing

/// Single steps beside torch; `fixtures/forward/README.md`.
@Suite struct StepTests {
  static func step(_ name: String, _ field: String) throws -> [Float] {
    let steps = try JSONDocument(reading: Fixtures.path("forward/steps.json"), limit: 1 << 20).root
    return try steps.required(name).required(field).elements().map { Float(try $0.double()) }
  }

  /// Greatest difference, relative to what was expected where that is above 1.
  static func error(_ values: [Float], _ expected: [Float]) -> Float {
    #expect(values.count == expected.count)
    let differences = zip(values, expected).map { ($0 - $1).magnitude / max(1, $1.magnitude) }
    return differences.contains { $0.isNaN } ? .nan : differences.max() ?? .nan
  }

  static func matrix(_ rows: Int, _ values: [Float]) throws -> Matrix {
    try Matrix(rows: rows, columns: values.count / rows, values)
  }

  @Test func rmsNorm() throws {
    let x = try Self.matrix(3, Self.step("rms_norm", "x"))
    let weight = try Self.matrix(1, Self.step("rms_norm", "weight"))
    for row in 0..<3 {
      let pointer = unsafe x.view.pointer(row: row)
      unsafe RowMath.rmsNorm(pointer, weight.view.pointer, epsilon: 1e-5, into: pointer, count: x.columns)
    }
    #expect(try Self.error(x.view.values, Self.step("rms_norm", "y")) < 1e-6)
  }

  @Test func rotation() throws {
    let x = try Self.matrix(5, Self.step("rotate", "x"))
    let cosines = try Self.matrix(5, Self.step("rotate", "cosines"))
    let sines = try Self.matrix(5, Self.step("rotate", "sines"))
    for row in 0..<5 {
      unsafe RowMath.rotate(
        x.view.pointer(row: row), heads: 2, headSize: 10, cosines: cosines.view.pointer(row: row),
        sines: sines.view.pointer(row: row))
    }
    #expect(try Self.error(x.view.values, Self.step("rotate", "y")) < 1e-6)
  }

  @Test func swiGLU() throws {
    let gate = try Self.matrix(1, Self.step("swiglu", "gate"))
    let up = try Self.matrix(1, Self.step("swiglu", "up"))
    unsafe RowMath.swiGLU(gate.view.pointer, up.view.pointer, count: gate.columns)
    #expect(try Self.error(gate.view.values, Self.step("swiglu", "y")) < 1e-6)
  }

  @Test func softmaxAndItsLogarithm() throws {
    let x = try Self.matrix(1, Self.step("softmax", "x"))
    let log = LogitMath.logSoftmax(x.view, row: 0).map(Float.init)
    #expect(try Self.error(log, Self.step("softmax", "log")) < 1e-6)
    for target in 0..<x.columns {
      let value = LogitMath.negativeLogLikelihood(x.view, row: 0, target: target)
      #expect((value + Double(log[target])).magnitude < 1e-5)
    }
    unsafe RowMath.softmax(x.view.pointer, count: x.columns)
    #expect(try Self.error(x.view.values, Self.step("softmax", "y")) < 1e-6)
  }

  @Test(arguments: [1, 7, 8, 9, 511, 512, 513, 1031])
  func logSumsOfAnyLengthAreSound(_ count: Int) throws {
    var generator = SeededGenerator(seed: UInt64(count))
    for offset in [Float(0), 1e4, -1e4] {
      let row = try Self.matrix(1, (0..<count).map { _ in offset + Float.random(in: -9...9, using: &generator) })
      let log = LogitMath.logSoftmax(row.view, row: 0)
      let sum = log.reduce(0) { $0 + LogLikelihood.probability(-$1) }
      #expect((sum - 1).magnitude < 1e-6)
    }
  }

  @Test func exponentialsAreWithinTwoUnits() {
    var worst: Float = 0
    for step in 0..<200_000 {
      let x = -87 + Float(step) * (175 / 200_000)
      let value = RowDefinition.exp(SIMD16(repeating: x))[3]
      let exact = Float(LogLikelihood.probability(-Double(x)))
      worst = max(worst, (value - exact).magnitude / exact.ulp)
    }
    #expect(worst <= 2)
    #expect(RowDefinition.exp(SIMD16(repeating: -.infinity))[0] < 2e-38)
    #expect(RowDefinition.exp(SIMD16(repeating: .nan))[0].isNaN)
  }
}

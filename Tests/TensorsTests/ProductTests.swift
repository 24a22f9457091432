import Bytes
import TestSupport
import Tensors
import Testing

/// Products with packed matrices give the bits of their definition on every instruction set.
@Suite(.serialized) struct ProductTests {
  static let shapes = [
    (1, 1, 1), (3, 5, 7), (12, 32, 16), (13, 33, 17), (24, 64, 256), (25, 65, 257), (7, 40, 1025), (530, 34, 90),
  ]

  /// Numbers of many sizes, denormal and huge ones among them.
  static func random(_ rows: Int, _ columns: Int, seed: UInt64) throws -> Matrix {
    var generator = SeededGenerator(seed: seed)
    return try Matrix(
      rows: rows, columns: columns,
      (0..<rows * columns).map { index in
        let value = Float.random(in: -1...1, using: &generator)
        switch index % 101 {
        case 17: return value * 0x1p-70
        case 40: return value * 0x1p-130
        case 77: return 0
        case 90: return value * 0x1p40
        default: return value
        }
      })
  }

  static func packed(_ w: Matrix, _ arithmetic: Arithmetic) throws -> PackedMatrix {
    let packed = try PackedMatrix(rows: w.rows, columns: w.columns, arithmetic: arithmetic)
    packed.pack(w.view)
    return packed
  }

  static func differences(_ a: Matrix, _ b: Matrix) -> Int {
    zip(a.view.values, b.view.values).count { $0.bitPattern != $1.bitPattern && !($0.isNaN && $1.isNaN) }
  }

  @Test(arguments: shapes, Arithmetic.allCases)
  func aProductIsItsDefinition(_ shape: (Int, Int, Int), _ arithmetic: Arithmetic) throws {
    let (m, n, k) = shape
    let (a, w) = try (Self.random(m, k, seed: 1), Self.random(n, k, seed: 2))
    for (scale, adding) in [(Float(1), false), (0.75, true)] {
      let expected = try Self.random(m, n, seed: 3)
      expected.view.assignByDefinition(
        a.view, timesTransposed: w.view, arithmetic: arithmetic, scale: scale, adding: adding)
      for name in Kernels.instructionSets {
        try Kernels.using(name) {
          let found = try Self.random(m, n, seed: 3)
          found.view.assign(
            a.view, timesTransposed: try Self.packed(w, arithmetic).view, scale: scale, adding: adding,
            try ProductScratch())
          #expect(Self.differences(found, expected) == 0, "\(name)")
        }
      }
    }
  }

  /// The definition itself, beside sums in F64: an element is off by less than what its numbers' formats allow.
  @Test(arguments: Arithmetic.allCases) func theDefinitionIsAProduct(_ arithmetic: Arithmetic) throws {
    let (m, n, k) = (5, 6, 700)
    let (a, w, y) = try (
      MatrixTests.random(m, k, seed: 4), MatrixTests.random(n, k, seed: 5), Matrix(rows: m, columns: n)
    )
    y.view.assignByDefinition(a.view, timesTransposed: w.view, arithmetic: arithmetic)
    let (x, v) = (a.view.values, w.view.values)
    for row in 0..<m {
      for column in 0..<n {
        let products = (0..<k).map { Double(x[row * k + $0]) * Double(v[column * k + $0]) }
        let sizes = products.reduce(0) { $0 + $1.magnitude }
        // Each of k sums is rounded to 24 bits; with BF16 each factor to 8 before.
        let bound = sizes * (Double(k) * 0x1p-24 + (arithmetic == .bf16 ? 2 * 0x1p-8 + 0x1p-16 : 0))
        let error = unsafe Double(y.view.pointer(row: row)[column]) - products.reduce(0, +)
        #expect(error.magnitude <= bound)
        #expect(arithmetic == .f32 || error.magnitude > sizes * 0x1p-24 || error == 0)
      }
    }
  }

  @Test(arguments: [Float.infinity, -.infinity, .nan], Arithmetic.allCases)
  func whatIsNoNumberStaysNone(_ bad: Float, _ arithmetic: Arithmetic) throws {
    let (a, w) = try (MatrixTests.random(14, 40, seed: 6), MatrixTests.random(35, 40, seed: 7))
    unsafe a.view.pointer(row: 3)[11] = bad
    unsafe w.view.pointer(row: 34)[39] = bad
    let expected = try Matrix(rows: 14, columns: 35)
    expected.view.assignByDefinition(a.view, timesTransposed: w.view, arithmetic: arithmetic)
    for name in Kernels.instructionSets {
      try Kernels.using(name) {
        let found = try Matrix(rows: 14, columns: 35)
        found.view.assign(a.view, timesTransposed: try Self.packed(w, arithmetic).view, try ProductScratch())
        #expect(Self.differences(found, expected) == 0, "\(name)")
        #expect(found.view.values.count { !$0.isFinite } == 14 + 35 - 1)
      }
    }
  }

  /// Rows of `a`, panels of `w` and the columns of the result may be divided at will.
  @Test(arguments: Arithmetic.allCases) func theDivisionOfTheWorkDoesNotShow(_ arithmetic: Arithmetic) throws {
    let (a, w) = try (Self.random(100, 600, seed: 8), Self.random(200, 600, seed: 9))
    let (packed, scratch) = try (Self.packed(w, arithmetic), ProductScratch())
    let (whole, parts) = try (Matrix(rows: 100, columns: 200), Matrix(rows: 100, columns: 200))
    whole.view.assign(a.view, timesTransposed: packed.view, scratch)
    for rows in [0..<1, 1..<50, 50..<100] {
      for columns in [0..<64, 64..<96, 96..<200] {
        parts[rows, columns].assign(a[rows], timesTransposed: packed[columns], scratch)
      }
    }
    #expect(Self.differences(whole, parts) == 0)
  }

  @Test func windowsTouchNothingAround() throws {
    let (a, w) = try (Self.random(20, 30, seed: 10), Self.random(70, 30, seed: 11))
    let (found, before) = try (Self.random(40, 60, seed: 12), Self.random(40, 60, seed: 12))
    let expected = try Self.random(40, 60, seed: 12)
    found[3..<20, 5..<24].assign(
      a[2..<19, 4..<24], timesTransposed: try Self.packed(w, .f32)[32..<51, 4..<24], try ProductScratch())
    expected[3..<20, 5..<24].assignByDefinition(a[2..<19, 4..<24], timesTransposed: w[32..<51, 4..<24])
    #expect(Self.differences(found, expected) == 0)
    #expect(Self.differences(found, before) > 300)
  }

  @Test(arguments: [(1, 1), (31, 5), (64, 33), (70, 300)]) func aTransposeIsPackedAlike(_ n: Int, _ k: Int) throws {
    let (a, w) = try (Self.random(9, k, seed: 13), Self.random(n, k, seed: 14))
    let transposed = try Matrix(
      rows: k, columns: n, (0..<k).flatMap { column in (0..<n).map { w.view.values[$0 * k + column] } })
    for name in Kernels.instructionSets {
      try Kernels.using(name) {
        let (one, other, scratch) = try (Matrix(rows: 9, columns: n), Matrix(rows: 9, columns: n), ProductScratch())
        one.view.assign(a.view, timesTransposed: try Self.packed(w, .f32).view, scratch)
        let packed = try PackedMatrix(rows: n, columns: k)
        packed.packTransposed(transposed.view)
        other.view.assign(a.view, timesTransposed: packed.view, scratch)
        #expect(Self.differences(one, other) == 0, "\(name)")
      }
    }
  }

  /// What was packed before leaves no trace in the last panel.
  @Test(arguments: Arithmetic.allCases) func aPanelIsPackedAnew(_ arithmetic: Arithmetic) throws {
    let packed = try PackedMatrix(rows: 50, columns: 21, arithmetic: arithmetic)
    packed.pack(try Self.random(50, 21, seed: 15).view)
    let (a, w) = try (Self.random(4, 21, seed: 16), Self.random(20, 21, seed: 17))
    packed.pack(w.view)
    let (found, expected) = try (Matrix(rows: 4, columns: 20), Matrix(rows: 4, columns: 20))
    found.view.assign(a.view, timesTransposed: packed[0..<20], try ProductScratch())
    expected.view.assignByDefinition(a.view, timesTransposed: w.view, arithmetic: arithmetic)
    #expect(Self.differences(found, expected) == 0)
  }

  @Test func aMatrixWithoutMemoryIsRefused() {
    #expect(throws: InputError.self) { try PackedMatrix(rows: 1 << 40, columns: 1 << 40) }
    #expect(throws: InputError.self) { try PackedMatrix(rows: 1 << 30, columns: 1 << 30, arithmetic: .bf16) }
  }
}

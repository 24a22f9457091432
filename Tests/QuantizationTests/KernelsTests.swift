import Quantization
import TestSupport
import Tensors
import Testing

/// Every kernel gives the bytes of its definition on every instruction set of this machine.
@Suite(.serialized) struct QuantizeKernelsTests {
  static let types: [DType] = DType.allCases.filter(BlockQuantizer.supports)

  /// Kinds of rows, hard ones among them.
  enum Rows: String, CaseIterable {
    case normal, mixed, zero, constant, negative, denormal, smallest, tiny, halfDenormal, huge, largest, wide, grid,
      sparse
    case bits
  }

  static func values(_ kind: Rows, _ count: Int, _ generator: inout SeededGenerator) -> [Float] {
    // About normal: the sum of four uniform numbers.
    func normal() -> Float { (0..<4).reduce(0) { sum, _ in sum + Float.random(in: -1...1, using: &generator) } }
    func power(_ range: ClosedRange<Int>) -> Float {
      Float(sign: .plus, exponent: Int.random(in: range, using: &generator), significand: 1)
    }
    var x = [Float](repeating: 0, count: count)
    var group = 0
    for i in x.indices {
      if i % 16 == 0 { group = Int.random(in: 0..<6, using: &generator) }
      switch kind {
      case .normal: x[i] = 0.02 * normal()
      case .zero: x[i] = Bool.random(using: &generator) ? 0 : -0.0
      case .constant: x[i] = i % 32 == 0 ? normal() : x[i - 1]
      case .negative: x[i] = -1 + 1e-4 * normal()
      case .denormal: x[i] = normal() * 0x1p-132
      // The inverse is beyond all numbers.
      case .smallest: x[i] = Float(Int.random(in: -3...3, using: &generator)) * .leastNonzeroMagnitude
      case .tiny: x[i] = normal() * 0x1p-122
      case .halfDenormal: x[i] = normal() * 0x1p-18
      case .huge: x[i] = normal() * 0x1p100
      // What two of them add up to is beyond all numbers.
      case .largest:
        x[i] = .greatestFiniteMagnitude * ([1, -1, 0.5, -0.3, 0] as [Float])[Int.random(in: 0..<5, using: &generator)]
      case .wide: x[i] = normal() * power(-60...60)
      case .grid: x[i] = (normal() * 4).rounded() / 8
      case .sparse: x[i] = Int.random(in: 0..<10, using: &generator) < 7 ? 0 : normal()
      case .bits:
        let bits = UInt32.random(in: 0...UInt32.max, using: &generator)
        x[i] = Float(bitPattern: bits & 0x7F80_0000 == 0x7F80_0000 ? bits & 0xBFFF_FFFF : bits)
      case .mixed:
        switch group {
        case 0: x[i] = 0
        case 1: x[i] = normal().magnitude
        case 2: x[i] = -normal().magnitude
        case 3: x[i] = i % 16 == 0 ? normal() : x[i - 1]
        case 4: x[i] = normal() * 0x1p-20
        default: x[i] = normal()
        }
      }
    }
    return x
  }

  /// Bytes of X (rows, columns) between guards, by the kernel or, without one, by the definition.
  static func bytes(_ x: [Float], _ columns: Int, _ type: DType, _ importance: [Float]?, kernel: Bool) throws -> [UInt8]
  {
    let count = try type.byteCount(of: x.count)
    var out = [UInt8](repeating: 0xA5, count: count + 128)
    let done = unsafe out.withUnsafeMutableBytes { all in
      var part = unsafe UnsafeMutableRawBufferPointer(rebasing: all[64..<64 + count]).mutableBytes
      if kernel {
        return Kernels.quantize(x.span, columns: columns, as: type, importance: importance?.span, into: &part)
      }
      BlockQuantizer.quantizeReference(x.span, columns: columns, as: type, importance: importance?.span, into: &part)
      return true
    }
    #expect(done)
    #expect(out[..<64].allSatisfy { $0 == 0xA5 } && out[(64 + count)...].allSatisfy { $0 == 0xA5 })
    return Array(out[64..<64 + count])
  }

  static func check(_ kind: Rows, _ type: DType, rows: Int, columns: Int, weighted: Bool, seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    let x = values(kind, rows * columns, &generator)
    let importance: [Float]? =
      weighted
      ? (0..<columns).map { _ in
        let a = Float.random(in: -1...1, using: &generator)
        return a.magnitude < 0.02 ? 0 : a * a
      } : nil
    let expected = try bytes(x, columns, type, importance, kernel: false)
    for name in Kernels.instructionSets {
      let found = try #require(
        try Kernels.using(name) { try bytes(x, columns, type, importance, kernel: true) })
      let differences = zip(found, expected).count { $0 != $1 }
      #expect(differences == 0, "\(type)\(weighted ? " with importance" : ""), \(kind), \(rows)x\(columns), on \(name)")
    }
  }

  /// Formats of grids, whose definitions search for long.
  static func isSlow(_ type: DType) -> Bool {
    type.name.hasPrefix("IQ1") || type.name.hasPrefix("IQ2") || type.name.hasPrefix("IQ3")
  }

  static func weightings(_ type: DType) -> [Bool] { BlockQuantizer.requiresImportance(type) ? [true] : [false, true] }

  /// A million weights a format, a tenth of it of the slow ones, with and without importance, on every instruction set.
  @Test(arguments: types, Rows.allCases) func quantizingMatchesTheDefinition(type: DType, kind: Rows) throws {
    for weighted in Self.weightings(type) {
      try Self.check(
        kind, type, rows: Self.isSlow(type) ? 7 : 79, columns: 1024, weighted: weighted, seed: UInt64(type.rawValue))
    }
  }

  /// Batches of blocks end anywhere in a row and in the data.
  @Test(arguments: types) func everyShapeMatchesTheDefinition(type: DType) throws {
    let unit = max(type.blockElements, 8)
    for (blocks, rows) in [(1, 1), (1, 2), (1, 37), (2, 5), (3, 11), (5, 1), (7, 3), (9, 2), (16, 1), (17, 1), (33, 2)]
    {
      for weighted in Self.weightings(type) {
        try Self.check(
          .normal, type, rows: rows, columns: unit * blocks, weighted: weighted, seed: UInt64(blocks * 64 + rows))
      }
    }
  }

  /// Every value between two halves that may be rounded: next to the halves, next to the middle, and the middle.
  @Test func halvesAreRoundedToTheNearestEven() throws {
    var x: [Float] = []
    for bits in UInt16(0)..<0x7C00 {
      let (low, high) = (Half.float(bits), bits == 0x7BFF ? 65536 : Half.float(bits + 1))
      let middle = low + (high - low) / 2
      x += [low, low.nextUp, middle.nextDown, middle, middle.nextUp, high.nextDown]
    }
    x += [65520, 65519.996, 1e6, .greatestFiniteMagnitude]
    x += x.map { -$0 }
    while x.count % 2 != 0 { x.append(0) }
    let expected = try Self.bytes(x, x.count, .f16, nil, kernel: false)
    for name in Kernels.instructionSets {
      let found = try Kernels.using(name) { try Self.bytes(x, x.count, .f16, nil, kernel: true) }
      #expect(found == expected, "on \(name)")
    }
  }

  /// Exact halves between levels of Q8_0 are rounded away from zero.
  @Test func levelsOfQ8AreRoundedHalfAwayFromZero() throws {
    var x: [Float] = [127] + (0..<31).map { Float($0) + 0.5 }
    x += [-127] + (0..<31).map { -(Float($0) + 0.5) }
    x += [127] + (0..<31).map { (Float($0) + 0.5).nextDown }
    let expected: [Int8] =
      [127] + (1...31).map { Int8($0) } + [-127] + (1...31).map { -Int8($0) } + [127] + (0..<31).map { Int8($0) }
    for name in Kernels.instructionSets {
      let blocks = try #require(try Kernels.using(name) { try Self.bytes(x, 96, .q8_0, nil, kernel: true) })
      let levels = (0..<3).flatMap { blocks[34 * $0 + 2..<34 * $0 + 34].map { Int8(bitPattern: $0) } }
      #expect(levels == expected, "on \(name)")
    }
  }

  @Test func onlyOfTypesWithAKernelSomethingIsWritten() {
    var out = [UInt8](repeating: 7, count: 8)
    for type in [DType.f8E4M3, .i8] {
      let x: [Float] = [1]
      var span = out.mutableSpan
      var bytes = unsafe span.mutableBytes
      let done = Kernels.quantize(x.span, columns: 1, as: type, importance: nil, into: &bytes)
      #expect(!done)
    }
    #expect(out == [7, 7, 7, 7, 7, 7, 7, 7])
  }

  @Test func theFirstBadValueIsFound() {
    func first(_ x: [Float]) -> Int? { BlockQuantizer.firstNonFinite(x.span) }
    var x = [Float](repeating: 1, count: 10_000)
    #expect(first(x) == nil)
    x[9_999] = .infinity
    #expect(first(x) == 9_999)
    x[4_097] = .nan
    #expect(first(x) == 4_097)
  }
}

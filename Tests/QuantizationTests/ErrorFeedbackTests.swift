import Quantization
import TestSupport
import Tensors
import Testing

@Suite struct ErrorFeedbackTests {
  static func decoded(_ bytes: [UInt8], _ type: DType, count: Int) -> [Float] {
    var x = [Float](repeating: 0, count: count)
    var span = x.mutableSpan
    unsafe BlockDecoder.decodeReference(bytes.span.bytes, as: type, into: &span)
    return x
  }

  /// The numbers that each column of a row may be stored as, ascending, and how far apart its scale puts them.
  static func grid(_ bytes: [UInt8], row: Int, _ layout: LevelLayout, columns: Int) -> [(
    values: [Double], step: Double
  )] {
    (0..<columns).map { column in
      let block = row * (columns / layout.elements) + column / layout.elements
      let scales = unsafe BlockScales(bytes.span.bytes, at: block * layout.blockBytes, type: layout.type)
      let group = column % layout.elements / layout.groupSize
      let offset = layout.hasOffset ? scales.offset(group) : 0
      let values = layout.values.map { Double(scales.scale(group) * $0 - offset) }
      return (values.sorted(), Double(scales.scale(group).magnitude))
    }
  }

  /// With the scales that were stored, the textbook's GPTQ stores the same integers; where a row first differs, the value
  /// was in the middle between two.
  @Test(arguments: [DType.q4_0, .q5_1, .q8_0, .q2_K, .q3_K, .q4_K, .q6_K, .iq4_NL, .iq4_XS], [false, true])
  func theIntegersAreThoseOfGPTQ(_ type: DType, _ refines: Bool) throws {
    let layout = try #require(LevelLayout(type))
    try check(layout, ColumnGroups(type), plainly: type) {
      try ErrorFeedback($0, type: type, refines: refines).quantize($1)
    }
  }

  @Test(arguments: [32, 64, 128]) func theIntegersOfPlainGroupsAreThoseOfGPTQ(_ size: Int) throws {
    try check(LevelLayout(groupsOf: size), .none, plainly: .q4_0) {
      try PlainFeedback($0, groupSize: size).quantize($1)
    }
  }

  /// - Parameter type: what plain rounding is compared in.
  private func check(
    _ layout: LevelLayout, _ groups: ColumnGroups, plainly type: DType,
    _ quantize: (FeedbackFactor, MatrixView) throws -> ErrorFeedback.Result
  ) throws {
    var generator = SeededGenerator(seed: 41)
    let (rows, n, damping) = (24, 512, 0.01)
    let x = try FeedbackModel.inputs(700, n, &generator)
    let w = try Matrix(rows: rows, columns: n, QuantizeKernelsTests.values(.normal, rows * n, &generator))
    var statistic = try Hessian(size: n)
    try statistic.add(x.view, jobs: 1)
    let factor = try #require(try FeedbackFactor(statistic, for: groups, damping: damping))
    let result = try quantize(factor, w.view)
    let stored = layout.decoded(result.bytes).map { Double($0) }

    let h = FeedbackModel.hessian(x, damping: damping)
    let ordered = factor.order.flatMap { row in factor.order.map { h[row * n + $0] } }
    let l = FeedbackModel.cholesky(FeedbackModel.inverse(ordered, n), n)
    let u = (0..<n * n).map { l[$0 % n * n + $0 / n] }
    var (ours, theirs, rowsThatDiffer) = (0.0, 0.0, 0)
    for row in 0..<rows {
      let values = (0..<n).map { Double(w.view.values[row * n + $0]) }
      let grid = Self.grid(result.bytes, row: row, layout, columns: n)
      let model = FeedbackModel.gptq(values, u, order: factor.order) { value, column in
        grid[column].values.min { ($0 - value).magnitude < ($1 - value).magnitude } ?? 0
      }
      let found = Array(stored[row * n..<(row + 1) * n])
      ours += FeedbackModel.loss(zip(values, found).map { $0 - $1 }, h)
      theirs += FeedbackModel.loss(zip(values, model.stored).map { $0 - $1 }, h)
      guard let first = factor.order.first(where: { found[$0] != model.stored[$0] }) else { continue }
      rowsThatDiffer += 1
      let distances = [found[first], model.stored[first]].map { (model.compensated[first] - $0).magnitude }
      #expect((distances[0] - distances[1]).magnitude < 1e-3 * grid[first].step, "row \(row), column \(first)")
    }
    #expect(rowsThatDiffer <= rows / 4)
    #expect((ours / theirs - 1).magnitude < 1e-3, "\(ours) and \(theirs)")
    #expect((result.loss / ours - 1).magnitude < 1e-3, "what is told is what is lost: \(result.loss) and \(ours)")

    var plain = [UInt8](repeating: 0, count: try type.byteCount(of: rows * n))
    var span = plain.mutableSpan
    var bytes = unsafe span.mutableBytes
    let weights = statistic.diagonal
    BlockQuantizer.quantize(w.view.values.span, columns: n, as: type, importance: weights.span, into: &bytes)
    let rounded = Self.decoded(plain, type, count: rows * n)
    let without = (0..<rows).reduce(0.0) { sum, row in
      sum + FeedbackModel.loss((row * n..<(row + 1) * n).map { Double(w.view.values[$0] - rounded[$0]) }, h)
    }
    #expect(ours < 0.9 * without, "\(ours) and plainly \(without)")
  }

  /// W + W M with `H` and the cross matrix of F64, how far inputs have drifted being known of the first tokens alone.
  @Test(arguments: [500, 210]) func theCorrectionIsTheSolutionOfItsEquation(_ known: Int) throws {
    var generator = SeededGenerator(seed: 42)
    let (n, asymmetry) = (320, 0.25)
    let x = try FeedbackModel.inputs(500, n, &generator)
    let y = try Matrix(
      rows: 500, columns: n, x.view.values.map { $0 * Float.random(in: 0.9...1.1, using: &generator) })
    let (xs, ys) = (x.view.values.map { Double($0) }, y.view.values.map { Double($0) })
    var statistic = try Hessian(size: n)
    try statistic.add(x[0..<known], undrifted: y[0..<known], jobs: 1)
    if known < 500 { try statistic.add(x[known..<500], jobs: 1) }
    let factor = try #require(try FeedbackFactor(statistic, for: ColumnGroups(.q4_0), asymmetry: asymmetry))
    var unit = [Float](repeating: 0, count: n * n)
    for row in 0..<n { unit[row * (n + 1)] = 1 }
    let shift = try #require(factor.correction).shift(of: Matrix(rows: n, columns: n, unit).view, ProductScratch())
    let m = shift.view.values.map { Double($0) }
    let mean = statistic.diagonal.reduce(0) { $0 + Double($1) } / Double(n)
    var c = [Double](repeating: 0, count: n * n)
    for token in 0..<known {
      for row in 0..<n {
        let difference = (ys[token * n + row] - xs[token * n + row]) * asymmetry / mean * 500 / Double(known)
        for column in 0..<n { c[row * n + column] += difference * xs[token * n + column] }
      }
    }
    let h = FeedbackModel.hessian(x, damping: factor.damping)
    let inverse = FeedbackModel.inverse(h, n)
    var (difference, size) = (0.0, 0.0)
    for row in 0..<n {
      var solution = [Double](repeating: 0, count: n)
      for k in 0..<n { for column in 0..<n { solution[column] += c[row * n + k] * inverse[k * n + column] } }
      for column in 0..<n {
        difference += (solution[column] - m[row * n + column]) * (solution[column] - m[row * n + column])
        size += solution[column] * solution[column]
      }
    }
    #expect((difference / size).squareRoot() < 1e-4)
  }

  /// What never fired keeps the level nearest to the weight, takes up no other column's error and passes none on.
  @Test(arguments: [DType.q4_0, .q4_K, .q6_K]) func deadColumnsAreRoundedPlainly(_ type: DType) throws {
    var generator = SeededGenerator(seed: 43)
    let (rows, n) = (8, 512)
    let dead = Set([0, 17, 300, 511])
    var values = try FeedbackModel.inputs(700, n, &generator).view.values
    for index in values.indices where dead.contains(index % n) { values[index] = 0 }
    var statistic = try Hessian(size: n)
    let x = try Matrix(rows: 700, columns: n, values)
    try statistic.add(x.view, undrifted: Matrix(rows: 700, columns: n, values.map { 1.1 * $0 }).view, jobs: 1)
    let factor = try #require(try FeedbackFactor(statistic, for: ColumnGroups(type)))
    let w = try Matrix(rows: rows, columns: n, QuantizeKernelsTests.values(.normal, rows * n, &generator))
    let layout = try #require(LevelLayout(type))
    let bytes = try ErrorFeedback(factor, type: type).quantize(w.view).bytes
    let stored = layout.decoded(bytes)
    for row in 0..<rows {
      let grid = Self.grid(bytes, row: row, layout, columns: n)
      for column in dead {
        let value = Double(w.view.values[row * n + column])
        let nearest = grid[column].values.map { ($0 - value).magnitude }.min() ?? 0
        #expect((Double(stored[row * n + column]) - value).magnitude <= nearest + 1e-6 * grid[column].step)
      }
    }
  }

  @Test func inputsThatWereAllZeroHaveNoFactor() throws {
    var statistic = try Hessian(size: 64)
    try statistic.add(Matrix(rows: 100, columns: 64).view, jobs: 1)
    #expect(try FeedbackFactor(statistic, for: ColumnGroups(.q4_0)) == nil)
  }
}

@Suite struct LevelLayoutTests {
  static func blocks(_ type: DType, _ count: Int, _ generator: inout SeededGenerator) -> [UInt8] {
    var bytes = (0..<count * type.blockBytes).map { _ in UInt8.random(in: 0...255, using: &generator) }
    // No scale is infinite or no number.
    let halves: [Int] =
      switch type {
      case .q4_1, .q5_1, .q4_K, .q5_K: [0, 2]
      case .q2_K: [80, 82]
      case .q3_K: [108]
      case .q6_K: [208]
      default: [0]
      }
    for block in 0..<count { for half in halves { bytes[block * type.blockBytes + half + 1] &= 0xBF } }
    return bytes
  }

  /// Levels and scales of any block say what the block says, and written again they are the block.
  @Test(arguments: LevelKernelsTests.types) func levelsAndScalesAreTheBlock(_ type: DType) throws {
    var generator = SeededGenerator(seed: UInt64(type.rawValue) + 7)
    let layout = try #require(LevelLayout(type))
    let bytes = Self.blocks(type, 200, &generator)
    let expected = ErrorFeedbackTests.decoded(bytes, type, count: 200 * layout.elements)
    var again = [UInt8](repeating: 0x5A, count: bytes.count)
    var levels = [UInt8](repeating: 0, count: layout.elements)
    var found: [Float] = []
    for block in 0..<200 {
      let at = block * type.blockBytes
      let scales = unsafe BlockScales(bytes.span.bytes, at: at, type: type)
      var span = levels.mutableSpan
      unsafe layout.levels(bytes.span.bytes, at: at, into: &span)
      for (element, level) in levels.enumerated() {
        let group = element / layout.groupSize
        let product = scales.scale(group) * layout.values[Int(level)]
        found.append(layout.hasOffset ? product - scales.offset(group) : product)
      }
      var target = again.mutableSpan
      var out = unsafe target.mutableBytes
      scales.store(into: &out, at: at, type: type)
      layout.store(levels.span, into: &out, at: at)
    }
    #expect(found.map(\.bitPattern) == expected.map(\.bitPattern))
    #expect(again == bytes)
  }
}

@Suite struct ThoroughSearchTests {
  typealias Rows = QuantizeKernelsTests.Rows

  /// By the weights given, no block is worse than ggml's, and all together are better.
  @Test(arguments: LevelKernelsTests.types, [Rows.normal, .mixed, .negative, .constant, .grid, .sparse])
  func noBlockIsWorseThanGgmls(_ type: DType, _ kind: Rows) throws {
    var generator = SeededGenerator(seed: UInt64(type.rawValue) + 3)
    let (rows, columns) = (32, 512)
    let x = QuantizeKernelsTests.values(kind, rows * columns, &generator)
    let importance = LevelKernelsTests.importance(columns, &generator)
    try check(type, kind, x, columns, importance) { importance[$0 % columns] }
    let layout = try #require(LevelLayout(type))
    let own = stride(from: 0, to: x.count, by: layout.elements).flatMap { first in
      MagnitudeWeights.weights(x.span.extracting(first..<first + layout.elements), layout)
    }
    try check(type, kind, x, columns, nil) { own[$0] }
  }

  private func check(
    _ type: DType, _ kind: Rows, _ x: [Float], _ columns: Int, _ importance: [Float]?, weight: (Int) -> Float
  ) throws {
    var (plain, thorough) = (
      [UInt8](repeating: 0, count: try type.byteCount(of: x.count)),
      [UInt8](repeating: 0, count: try type.byteCount(of: x.count))
    )
    do {
      var span = plain.mutableSpan
      var bytes = unsafe span.mutableBytes
      BlockQuantizer.quantize(x.span, columns: columns, as: type, importance: importance?.span, into: &bytes)
    }
    do {
      var span = thorough.mutableSpan
      var bytes = unsafe span.mutableBytes
      try ThoroughSearch.quantize(x.span, columns: columns, as: type, importance: importance?.span, into: &bytes)
    }
    let size = type.blockElements
    func errors(_ bytes: [UInt8]) -> [Double] {
      let stored = ErrorFeedbackTests.decoded(bytes, type, count: x.count)
      return stride(from: 0, to: x.count, by: size).map { first in
        (first..<first + size).reduce(0.0) { sum, index in
          let difference = Double(x[index]) - Double(stored[index])
          return sum + Double(weight(index)) * difference * difference
        }
      }
    }
    let (before, after) = (errors(plain), errors(thorough))
    // The search compares sums of F32, of differences that are near nothing for a constant block.
    let largest = x.reduce(0) { max($0, Double($1.magnitude)) }
    let heaviest = x.indices.reduce(1) { max($0, Double(weight($1))) }
    for (before, after) in zip(before, after) {
      #expect(after <= before * (1 + 1e-5) + 1e-12 * largest * largest * heaviest)
    }
    if kind == .normal { #expect(after.reduce(0, +) < before.reduce(0, +)) }
  }
}

import Quantization
import TestSupport
import Tensors
import Testing

/// Rounding with error feedback and the search for scales give the bytes of their definitions on every instruction set.
@Suite(.serialized) struct LevelKernelsTests {
  static let types = DType.allCases.filter { LevelLayout($0) != nil }
  typealias Rows = QuantizeKernelsTests.Rows

  @Test func allFormatsOfScalarLevelsAreCovered() { #expect(Self.types.count == 12) }

  static func importance(_ count: Int, _ generator: inout SeededGenerator) -> [Float] {
    (0..<count).map { _ in
      let a = Float.random(in: -1...1, using: &generator)
      return a.magnitude < 0.02 ? 0 : a * a
    }
  }

  @Test(arguments: types, Rows.allCases) func thoroughSearchIsItsDefinition(_ type: DType, _ kind: Rows) throws {
    var generator = SeededGenerator(seed: UInt64(type.rawValue))
    for (rows, columns) in [(1, 256), (37, 512), (70, 256)] {
      let x = QuantizeKernelsTests.values(kind, rows * columns, &generator)
      for importance in [nil, Self.importance(columns, &generator)] {
        func bytes(_ body: (inout MutableRawSpan) throws -> Void) throws -> [UInt8] {
          var out = [UInt8](repeating: 0xA5, count: try type.byteCount(of: x.count))
          var span = out.mutableSpan
          var all = unsafe span.mutableBytes
          try body(&all)
          return out
        }
        let expected = try bytes {
          ThoroughSearch.quantizeReference(x.span, columns: columns, as: type, importance: importance?.span, into: &$0)
        }
        for name in Kernels.instructionSets {
          let found = try Kernels.using(name) {
            try bytes {
              try ThoroughSearch.quantize(
                x.span, columns: columns, as: type, importance: importance?.span, into: &$0)
            }
          }
          #expect(found == expected, "\(type), \(kind), \(rows) rows, on \(name)")
        }
      }
    }
  }

  static func hessian(_ size: Int, drifts: Bool = false, _ generator: inout SeededGenerator) throws -> Hessian {
    var hessian = try Hessian(size: size)
    let x = try FeedbackModel.inputs(2 * size, size, &generator)
    let y =
      drifts
      ? try Matrix(
        rows: x.rows, columns: size, x.view.values.map { $0 * Float.random(in: 0.9...1.1, using: &generator) }) : nil
    try hessian.add(x.view, undrifted: y?.view, jobs: 1)
    return hessian
  }

  /// 512 columns are two tiles, 288 one of 256 and a short one.
  @Test(arguments: types, [Rows.normal, .mixed, .zero, .constant, .tiny, .huge, .sparse, .wide])
  func feedbackIsItsDefinition(_ type: DType, _ kind: Rows) throws {
    var generator = SeededGenerator(seed: UInt64(type.rawValue) + 100)
    let columns = type.blockElements == 32 ? 288 : 512
    let hessian = try Self.hessian(columns, drifts: kind == .normal, &generator)
    for (rows, refines, isOrdered) in [(64, true, true), (5, true, false), (33, false, true)] {
      let factor = try #require(try FeedbackFactor(hessian, for: ColumnGroups(type), isOrdered: isOrdered))
      let w = try Matrix(rows: rows, columns: columns, QuantizeKernelsTests.values(kind, rows * columns, &generator))
      let feedback = ErrorFeedback(factor, type: type, refines: refines)
      let expected = try feedback.quantizeReference(w.view)
      for name in Kernels.instructionSets {
        let found = try #require(try Kernels.using(name) { try feedback.quantize(w.view) })
        #expect(found.bytes == expected.bytes, "\(type), \(kind), \(rows) rows, on \(name)")
        // Where numbers overflow there is no loss to speak of.
        #expect(found.loss == expected.loss || found.loss.isNaN && expected.loss.isNaN)
      }
    }
  }

  /// Everything that comes before rounding: the sums, the factor, the correction. And the bytes, which no row's company
  /// changes.
  @Test func statisticsAndBytesAreTheSameOnEveryInstructionSetAndAtAnyJobs() throws {
    let (columns, rows) = (544, 50)
    var results: [[UInt8]] = []
    for (isa, jobs) in Kernels.instructionSets.flatMap({ isa in [1, 2, 3].map { (isa, $0) } }) {
      var generator = SeededGenerator(seed: 77)
      let x = try FeedbackModel.inputs(1100, columns, &generator)
      let y = try Matrix(
        rows: x.rows, columns: columns, x.view.values.map { $0 * Float.random(in: 0.9...1.1, using: &generator) })
      let w = try Matrix(
        rows: rows, columns: columns, QuantizeKernelsTests.values(.normal, rows * columns, &generator))
      try Kernels.using(isa) {
        var hessian = try Hessian(size: columns)
        try hessian.add(x.view, undrifted: y.view, jobs: jobs)
        let factor = try #require(try FeedbackFactor(hessian, for: ColumnGroups(.q5_1), jobs: jobs))
        let feedback = ErrorFeedback(factor, type: .q5_1)
        results.append(try feedback.quantize(w.view).bytes)
        results.append(try feedback.quantize(w[0..<7]).bytes + feedback.quantize(w[7..<rows]).bytes)
      }
    }
    #expect(Set(results).count == 1)
  }
}

import CKernels

/// The safe face of the kernels that choose scales and levels of one block for many rows.
///
/// Rows lie side by side: (n, stride) has a weight, a group or a level of all rows, then the next of all rows. What they do is
/// defined row by row in Quantization, to the bit on every instruction set.
package enum LevelKernels {
  /// Rows are worked on in multiples of this many.
  package static let lanes = 16

  /// How a block of a format is read: `scale · value(level) − offset`.
  package struct Format: Sendable {
    private let elements, groupSize: Int
    private let groups: Int
    fileprivate let c: quern_levels

    /// - Parameters:
    ///   - first: the first of the values, `last` the last.
    ///   - isUniform: whether values rise by one; else they are those of IQ4.
    ///   - codes: those that can be stored; `nil` where groups have none.
    package init(
      elements: Int, groupSize: Int, first: Float, last: Float, isUniform: Bool, hasOffset: Bool,
      codes: ClosedRange<Int32>?
    ) {
      precondition(elements <= 256 && elements % groupSize == 0 && (groupSize == 32 || groupSize == 16 && isUniform))
      (self.elements, self.groupSize, groups) = (elements, groupSize, elements / groupSize)
      c = quern_levels(
        elements: Int32(elements), group: Int32(groupSize), low: first, high: last, is_uniform: isUniform,
        has_offset: hasOffset, has_codes: codes != nil, code_low: codes?.lowerBound ?? 1,
        code_high: codes?.upperBound ?? 1)
    }

    fileprivate func check(_ scales: Scales, rows: Int, weights: Int) {
      precondition(rows % lanes == 0 && rows <= scales.stride && scales.groups == groups, "scales of another shape")
      precondition(weights == elements, "weights of another shape")
    }
  }

  /// The scales of one block of `stride` rows: `d` and `dmin` (stride), `codes` and `minimums` (groups, stride).
  package struct Scales: Sendable {
    package let stride, groups: Int
    package var d, dmin: [Float]
    package var codes, minimums: [Int32]

    package init(groups: Int, stride: Int) {
      (self.groups, self.stride) = (groups, stride)
      (d, dmin) = ([Float](repeating: 0, count: stride), [Float](repeating: 0, count: stride))
      codes = [Int32](repeating: 1, count: groups * stride)
      minimums = codes
    }

    fileprivate mutating func withPointers(_ body: (UnsafePointer<quern_scales>) -> Void) {
      precondition(
        d.count == stride && dmin.count == stride && codes.count == groups * stride && minimums.count == codes.count)
      unsafe d.withUnsafeMutableBufferPointer { d in
        unsafe dmin.withUnsafeMutableBufferPointer { dmin in
          unsafe codes.withUnsafeMutableBufferPointer { codes in
            unsafe minimums.withUnsafeMutableBufferPointer { minimums in
              var scales = unsafe quern_scales(
                d: d.baseAddress, dmin: dmin.baseAddress, codes: codes.baseAddress, minimums: minimums.baseAddress)
              unsafe withUnsafePointer(to: &scales) { unsafe body($0) }
            }
          }
        }
      }
    }
  }

  /// Moves the scales to where the weighted squared error is least.
  /// - Parameters:
  ///   - x: (elements, stride).
  ///   - weights: (elements).
  package static func refine(
    _ scales: inout Scales, _ format: Format, _ x: MatrixView, weights: Span<Float>, rows: Int, rounds: Int
  ) {
    precondition(x.rows == weights.count, "weights of another shape")
    unsafe weights.withUnsafeBufferPointer { weights in
      guard let weights = weights.baseAddress else { return }
      unsafe refine(&scales, format, x, weights, weighsRows: false, rows: rows, rounds: rounds)
    }
  }

  /// The same with weights of each row's own, (elements, stride).
  package static func refine(
    _ scales: inout Scales, _ format: Format, _ x: MatrixView, weights: MatrixView, rows: Int, rounds: Int
  ) {
    precondition(weights.rows == x.rows && weights.stride == x.stride, "weights of another shape")
    unsafe refine(&scales, format, x, weights.pointer, weighsRows: true, rows: rows, rounds: rounds)
  }

  private static func refine(
    _ scales: inout Scales, _ format: Format, _ x: MatrixView, _ weights: UnsafePointer<Float>, weighsRows: Bool,
    rows: Int, rounds: Int
  ) {
    format.check(scales, rows: rows, weights: x.rows)
    precondition(x.stride == scales.stride && x.columns == x.stride, "x of another shape")
    unsafe withUnsafePointer(to: format.c) { format in
      unsafe scales.withPointers {
        unsafe quern_refine_levels(
          format, Int64(rows), x.pointer, Int64(x.stride), weights, weighsRows, $0, Int32(rounds))
      }
    }
  }

  /// The levels (elements, stride) nearest to `x` (elements, stride).
  package static func find(
    _ levels: inout [UInt8], _ scales: inout Scales, _ format: Format, _ x: MatrixView, rows: Int
  ) {
    format.check(scales, rows: rows, weights: x.rows)
    precondition(x.stride == scales.stride && x.columns == x.stride && levels.count == x.rows * x.stride)
    unsafe levels.withUnsafeMutableBufferPointer { levels in
      guard let levels = levels.baseAddress else { return }
      unsafe withUnsafePointer(to: format.c) { format in
        unsafe scales.withPointers {
          unsafe quern_find_levels(format, Int64(rows), x.pointer, Int64(x.stride), $0, levels)
        }
      }
    }
  }

  /// `y[k] += coefficients[i][k] · errors[i]` for every `i` in order: `coefficients` (count, weights), `errors`
  /// (count, stride), `y` (weights, stride); the number of weights is a multiple of 8.
  package static func takeUp(errors: MatrixView, times coefficients: MatrixView, in y: MatrixView) {
    let (count, weights, stride) = (errors.rows, y.rows, y.stride)
    precondition(coefficients.rows == count && coefficients.columns == weights && weights % 8 == 0)
    precondition(errors.stride == stride && y.columns == stride && errors.columns == stride && stride % lanes == 0)
    unsafe quern_take_up_errors(
      coefficients.pointer, Int64(coefficients.stride), Int64(count), errors.pointer, y.pointer, Int64(weights),
      Int64(stride), Int64(stride))
  }

  /// One block of many rows, in the order of rounding.
  package struct Block {
    /// (elements, elements).
    package var coefficients: MatrixView
    /// Where each weight stands in the file.
    package var places: [Int32]
    /// What its error costs, in the order of the file.
    package var costs: [Float]
    /// Whether the codes of a group are chosen anew when its turn comes.
    package var refines: Bool
    /// (elements, stride): what to come close to, the same with what the errors before add, and target less stored.
    package var target, compensated, errors: MatrixView

    package init(
      coefficients: MatrixView, places: [Int32], costs: [Float], refines: Bool, target: MatrixView,
      compensated: MatrixView, errors: MatrixView
    ) {
      let count = places.count
      precondition(coefficients.rows == count && coefficients.columns == count && costs.count == count)
      for matrix in [target, compensated, errors] {
        precondition(matrix.rows == count && matrix.columns == matrix.stride && matrix.stride == target.stride)
      }
      precondition(places.sorted() == Array(0..<Int32(count)), "places that are no order")
      (self.coefficients, self.places, self.costs, self.refines) = (coefficients, places, costs, refines)
      (self.target, self.compensated, self.errors) = (target, compensated, errors)
    }
  }

  /// Rounds the weights of a block one by one, each error going to those after it.
  /// - Parameters:
  ///   - levels: (elements, stride), in the order of the file; written.
  ///   - losses: (stride); `Σ cost · (compensated − rounded)²` of the block is added.
  package static func round(
    _ block: Block, _ scales: inout Scales, _ format: Format, rows: Int, levels: inout [UInt8], losses: inout [Double]
  ) {
    format.check(scales, rows: rows, weights: block.places.count)
    let stride = scales.stride
    precondition(block.target.stride == stride && levels.count == block.places.count * stride && losses.count == stride)
    unsafe block.places.withUnsafeBufferPointer { places in
      unsafe block.costs.withUnsafeBufferPointer { costs in
        unsafe levels.withUnsafeMutableBufferPointer { levels in
          unsafe losses.withUnsafeMutableBufferPointer { losses in
            var c = unsafe quern_feedback(
              coefficients: block.coefficients.pointer, width: Int64(block.coefficients.stride),
              places: places.baseAddress, weights: costs.baseAddress, refines: block.refines,
              target: block.target.pointer, y: block.compensated.pointer, errors: block.errors.pointer,
              levels: levels.baseAddress, loss: losses.baseAddress)
            unsafe withUnsafePointer(to: format.c) { format in
              unsafe scales.withPointers { scales in
                unsafe quern_round_levels(format, &c, Int64(rows), Int64(stride), scales)
              }
            }
          }
        }
      }
    }
  }
}

import Tensors

/// The scales and levels of one block of many rows, side by side as the kernels want them.
struct LevelPanel {
  let layout: LevelLayout
  let rows: Int
  /// `rows` and what fills up the last vector.
  let stride: Int
  var scales: LevelKernels.Scales
  /// (elements, stride).
  var levels: [UInt8]

  init(_ layout: LevelLayout, rows: Int, stride: Int) {
    (self.layout, self.rows, self.stride) = (layout, rows, stride)
    scales = LevelKernels.Scales(groups: layout.groups, stride: stride)
    levels = [UInt8](repeating: 0, count: layout.elements * stride)
  }

  /// Reads the scales of the block at `first` of the first row, and of one every `next` bytes for the others.
  mutating func read(_ blocks: RawSpan, at first: Int, next: Int) {
    for row in 0..<rows {
      let block = BlockScales(blocks, at: first + row * next, type: layout.type)
      (scales.d[row], scales.dmin[row]) = (block.d, block.dmin)
      for group in 0..<layout.groups {
        scales.codes[group * stride + row] = block.codes[group]
        scales.minimums[group * stride + row] = block.minimums[group]
      }
    }
  }

  /// `ScaleRefinement.improve` of every row.
  /// - Parameters:
  ///   - x: (elements, stride).
  ///   - weights: (elements).
  mutating func refine(_ x: MatrixView, weights: Span<Float>) {
    LevelKernels.refine(
      &scales, layout.kernelFormat, x, weights: weights, rows: stride, rounds: ScaleRefinement.rounds)
  }

  /// The same with weights of each row's own, (elements, stride).
  mutating func refine(_ x: MatrixView, weights: MatrixView) {
    LevelKernels.refine(
      &scales, layout.kernelFormat, x, weights: weights, rows: stride, rounds: ScaleRefinement.rounds)
  }

  /// Finds the levels nearest to `x` (elements, stride).
  mutating func findLevels(_ x: MatrixView) {
    LevelKernels.find(&levels, &scales, layout.kernelFormat, x, rows: stride)
  }

  /// Writes scales and levels where `read` read.
  func store(into blocks: inout MutableRawSpan, at first: Int, next: Int) {
    for row in 0..<rows {
      var block = BlockScales(d: scales.d[row], dmin: scales.dmin[row])
      for group in 0..<layout.groups {
        block.codes[group] = scales.codes[group * stride + row]
        block.minimums[group] = scales.minimums[group * stride + row]
      }
      block.store(into: &blocks, at: first + row * next, type: layout.type)
    }
    layout.store(levels, stride: stride, rows: rows, into: &blocks, at: first, next: next)
  }
}

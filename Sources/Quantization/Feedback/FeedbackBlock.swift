import Tensors

/// One block of the rows of a panel.
struct FeedbackBlock {
  let feedback: ErrorFeedback
  /// Positions in the order of rounding.
  let positions: Range<Int>
  /// The column of the weight that the block begins with.
  let base: Int
  /// Where in the stored block the column of each position stands.
  let places: [Int]
  /// What an error costs at each place.
  let costs: [Float]

  private var type: DType { feedback.type }

  /// - Parameter first: the position of the block's first column in the order of rounding.
  init(_ feedback: ErrorFeedback, first: Int) {
    self.feedback = feedback
    positions = first..<first + feedback.type.blockElements
    let columns = feedback.factor.order[positions]
    let base = columns.min() ?? 0
    self.base = base
    places = columns.map { $0 - base }
    var costs = [Float](repeating: 0, count: places.count)
    for (index, place) in places.enumerated() { costs[place] = feedback.factor.costs[first + index] }
    self.costs = costs
  }

  /// Adds to the compensated columns what the errors of the tile's blocks before come to.
  func takeUpErrors(in panel: FeedbackPanel) {
    guard feedback.layout != nil else { return }
    let before = panel.tile.lowerBound..<positions.lowerBound
    LevelKernels.takeUp(
      errors: panel.errors(before), times: feedback.factor.coefficients(before, positions),
      in: panel.compensated(positions))
  }

  /// The block of every row as ggml rounds it.
  func plain(_ panel: FeedbackPanel) -> [UInt8] {
    let size = places.count
    let x = panel.compensated(positions)
    var values = [Float](repeating: 0, count: panel.rows * size)
    for (index, place) in places.enumerated() {
      let from = unsafe x.pointer(row: index)
      unsafe values.withUnsafeMutableBufferPointer { values in
        for row in 0..<panel.rows { unsafe values[row &* size &+ place] = from[row] }
      }
    }
    var bytes = [UInt8](repeating: 0, count: panel.rows * type.blockBytes)
    var span = bytes.mutableSpan
    var blocks = unsafe span.mutableBytes
    BlockQuantizer.quantize(values.span, columns: size, as: type, importance: costs.span, into: &blocks)
    return bytes
  }

  /// Rounds the blocks anew, one weight after another, with the scales that `bytes` have or better ones.
  /// - Returns: `Σ cost · (compensated − rounded)²`.
  func round(_ bytes: inout [UInt8], in panel: FeedbackPanel) -> Double {
    guard let layout = feedback.layout else { return take(bytes, in: panel) }
    let x = panel.compensated(positions)
    var block = LevelPanel(layout, rows: panel.rows, stride: panel.stride)
    unsafe block.read(bytes.span.bytes, at: 0, next: type.blockBytes)
    if feedback.refines {
      let ordered = panel.ordered[0..<places.count]
      for (index, place) in places.enumerated() {
        unsafe ordered.pointer(row: place).update(from: x.pointer(row: index), count: panel.stride)
      }
      block.refine(ordered, weights: costs.span)
    }
    var losses = [Double](repeating: 0, count: panel.stride)
    LevelKernels.round(
      LevelKernels.Block(
        coefficients: feedback.factor.coefficients(positions, positions), places: places.map { Int32($0) },
        costs: costs, refines: feedback.refines, target: panel.target[positions], compensated: x,
        errors: panel.errors(positions)),
      &block.scales, layout.kernelFormat, rows: panel.stride, levels: &block.levels, losses: &losses)
    var span = bytes.mutableSpan
    var blocks = unsafe span.mutableBytes
    block.store(into: &blocks, at: 0, next: type.blockBytes)
    return losses[..<panel.rows].reduce(0, +)
  }

  /// The definition of `round` and, all errors being added as soon as they are known, of `takeUpErrors`.
  func roundReference(_ bytes: inout [UInt8], in panel: FeedbackPanel) -> Double {
    guard let layout = feedback.layout else { return take(bytes, in: panel) }
    var span = bytes.mutableSpan
    var blocks = unsafe span.mutableBytes
    var block = LevelBlock(layout, self)
    var loss = 0.0
    for row in 0..<panel.rows {
      let place = unsafe LevelBlock.Row(
        target: panel.target.view.pointer + row, errors: panel.errors(panel.tile).pointer + row,
        compensated: panel.compensated(panel.tile).pointer + row, stride: panel.stride, tile: panel.tile)
      loss += unsafe block.round(place, into: &blocks, at: row * type.blockBytes)
    }
    return loss
  }

  /// Takes blocks of a format without scalar levels as ggml rounds them; the columns of the tile after them take up the error.
  private func take(_ blocks: [UInt8], in panel: FeedbackPanel) -> Double {
    let size = places.count
    var stored = [Float](repeating: 0, count: panel.rows * size)
    var decoded = stored.mutableSpan
    unsafe BlockDecoder.decode(blocks.span.bytes, as: type, into: &decoded)
    var loss = 0.0
    let x = panel.compensated(positions)
    for (index, place) in places.enumerated() {
      let position = positions.lowerBound + index
      let (x, w) = unsafe (x.pointer(row: index), panel.target.view.pointer(row: position))
      let e = unsafe panel.errors(positions).pointer(row: index)
      for row in 0..<panel.rows {
        let difference = unsafe x[row] - stored[row * size + place]
        loss += Double(costs[place]) * Double(difference * difference)
        let rest = unsafe w[row] - stored[row * size + place]
        unsafe e[row] = rest.isFinite ? rest : 0
      }
    }
    let rest = positions.upperBound..<panel.tile.upperBound
    if !rest.isEmpty {
      LevelKernels.takeUp(
        errors: panel.errors(positions), times: feedback.factor.coefficients(positions, rest),
        in: panel.compensated(rest))
    }
    return loss
  }
}

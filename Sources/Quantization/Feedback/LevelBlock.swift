import Tensors

/// Rounds one block of a row column by column, each error going to the columns of the tile that are still to come: the
/// definition of `LevelKernels.round`.
struct LevelBlock {
  /// A row of the panel, columns in the order of rounding, `stride` apart.
  @unsafe struct Row {
    /// What the rounded row should come to.
    var target: UnsafeMutablePointer<Float>
    /// Of the columns `tile`, target less rounded.
    var errors: UnsafeMutablePointer<Float>
    /// The columns `tile`, with what the errors so far add to them.
    var compensated: UnsafeMutablePointer<Float>
    var stride: Int
    var tile: Range<Int>
  }

  let layout: LevelLayout
  let block: FeedbackBlock
  let refinement: ScaleRefinement?
  /// Of the block, at their places.
  private var values: [Float]
  private var levels: [UInt8]

  init(_ layout: LevelLayout, _ block: FeedbackBlock) {
    (self.layout, self.block) = (layout, block)
    refinement = block.feedback.refines ? ScaleRefinement(layout) : nil
    values = [Float](repeating: 0, count: layout.elements)
    levels = [UInt8](repeating: 0, count: layout.elements)
  }

  /// - Parameter blocks: the one at `at` holds the scales to start from, and takes the result.
  /// - Returns: `Σ cost · (compensated − rounded)²`.
  mutating func round(_ row: Row, into blocks: inout MutableRawSpan, at: Int) -> Double {
    let (places, costs, first) = (block.places, block.costs, block.positions.lowerBound)
    let tile = unsafe row.tile
    let x = unsafe row.compensated + (first - tile.lowerBound) * row.stride
    for (index, place) in places.enumerated() { unsafe values[place] = x[index * row.stride] }
    var scales = BlockScales(blocks.bytes, at: at, type: layout.type)
    refinement?.improve(&scales, values.span, costs.span)
    var rounded = ScaledLevels(layout, scales)
    var loss = 0.0
    for (index, place) in places.enumerated() {
      let group = place / layout.groupSize
      if refinement != nil && index % layout.groupSize == 0 {
        // Moves the codes of a group whose turn has come to what its columns are by now.
        let part = group * layout.groupSize..<(group + 1) * layout.groupSize
        for other in index..<index + layout.groupSize { unsafe values[places[other]] = x[other * row.stride] }
        refinement?.improve(&scales, group: group, values.span.extracting(part), costs.span.extracting(part))
        rounded.set(group, scales)
      }
      let value = unsafe x[index * row.stride]
      let (level, stored) = rounded.nearest(value, group: group)
      levels[place] = level
      loss += Double(costs[place]) * Double((value - stored) * (value - stored))
      // What is stored as no number, its scale being beyond all halves, has no error that could be made good.
      let rest = unsafe row.target[(first + index) * row.stride] - stored
      let error = rest.isFinite ? rest : 0
      unsafe row.errors[(first + index - tile.lowerBound) * row.stride] = error
      let coefficients = block.feedback.factor.coefficients(first + index..<first + index + 1, tile)
      let end = max(tile.upperBound - first, index + 1)
      for next in index + 1..<end {
        let added = unsafe coefficients.pointer[first + next - tile.lowerBound] * error
        unsafe x[next * row.stride] += added
      }
    }
    scales.store(into: &blocks, at: at, type: layout.type)
    layout.store(levels.span, into: &blocks, at: at)
    return loss
  }
}

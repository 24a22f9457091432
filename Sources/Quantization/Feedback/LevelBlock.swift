import Tensors

/// Rounds one block of a row column by column, each error going to the columns of the tile that are still to come.
struct LevelBlock {
  /// A row of the panel, columns in the order of rounding.
  @unsafe struct Row {
    /// What the rounded row should come to.
    var target: UnsafeMutablePointer<Float>
    /// Target less rounded.
    var errors: UnsafeMutablePointer<Float>
    /// The columns `tile`, with what the errors so far add to them.
    var compensated: UnsafeMutablePointer<Float>
    var tile: Range<Int>
  }

  let layout: LevelLayout
  let factor: FeedbackFactor
  let refinement: ScaleRefinement?
  /// The position of the block's first column in the order of rounding.
  let first: Int
  /// Where in the stored block the column of each position stands.
  let places: [Int]
  /// What an error costs at each place.
  let costs: [Float]
  /// Of one group, at its places.
  private var values: [Float]
  private var levels: [UInt8]

  init(_ layout: LevelLayout, _ factor: FeedbackFactor, first: Int, refines: Bool) {
    (self.layout, self.factor, self.first) = (layout, factor, first)
    refinement = refines ? ScaleRefinement(layout) : nil
    let columns = factor.order[first..<first + layout.elements]
    let base = columns.min()!
    places = columns.map { $0 - base }
    var costs = [Float](repeating: 0, count: layout.elements)
    for (index, place) in places.enumerated() { costs[place] = factor.costs[first + index] }
    self.costs = costs
    values = [Float](repeating: 0, count: layout.groupSize)
    levels = [UInt8](repeating: 0, count: layout.elements)
  }

  /// - Parameters:
  ///   - block: the one at `at` holds the scales to start from, and takes the result.
  ///   - x: the compensated weights at their places.
  /// - Returns: `Σ cost · (compensated − rounded)²`.
  mutating func round(_ row: Row, _ x: Span<Float>, into blocks: inout MutableRawSpan, at: Int) -> Double {
    var scales = BlockScales(blocks.bytes, at: at, type: layout.type)
    refinement?.improve(&scales, x, costs.span)
    var rounded = ScaledLevels(layout, scales)
    var loss = 0.0
    let start = unsafe first - row.tile.lowerBound
    for (index, place) in places.enumerated() {
      let group = place / layout.groupSize
      if refinement != nil && index % layout.groupSize == 0 {
        unsafe refresh(&scales, group: group, from: index, row.compensated + start)
        rounded.set(group, scales)
      }
      let position = first + index
      let value = unsafe row.compensated[start + index]
      let (level, stored) = rounded.nearest(value, group: group)
      levels[place] = level
      loss += Double(costs[place]) * Double((value - stored) * (value - stored))
      let error = unsafe row.target[position] - stored
      unsafe row.errors[position] = error
      let coefficients = unsafe factor.coefficients.view.pointer(row: position)
      let end = unsafe max(row.tile.upperBound, position + 1)
      for next in position + 1..<end {
        unsafe row.compensated[next - row.tile.lowerBound] += coefficients[next] * error
      }
    }
    scales.store(into: &blocks, at: at, type: layout.type)
    layout.store(levels.span, into: &blocks, at: at)
    return loss
  }

  /// Moves the codes of a group whose turn has come to what its columns are by now.
  private mutating func refresh(
    _ scales: inout BlockScales, group: Int, from index: Int, _ compensated: UnsafeMutablePointer<Float>
  ) {
    let base = group * layout.groupSize
    for other in index..<index + layout.groupSize { unsafe values[places[other] - base] = compensated[other] }
    refinement?.improve(
      &scales, group: group, values.span, costs.span.extracting(base..<base + layout.groupSize))
  }
}

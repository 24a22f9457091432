import Tensors

/// A group of 16 or 32 weights whose levels are taken from a grid, eight at once: what IQ2 and IQ1 search.
///
/// ggml stops the process where sums overflow so far that no neighbour in the grid is nearer than another. Here a search then
/// finds nothing, and the block is written with a scale that is NaN, which the check of written blocks refuses.
struct GridGroup8 {
  let grid: Grid8
  let count: Int
  /// For IQ2 magnitudes, of which some may be negative; for IQ1 the values.
  var x = InlineArray<32, Float>(repeating: 0)
  /// How much an error counts in the fit of the scale, and in the choice among neighbours.
  var weights = InlineArray<32, Float>(repeating: 0)
  var choiceWeights = InlineArray<32, Float>(repeating: 0)
  /// What the levels mean, in units of the scale; of each eight weights.
  var values: InlineArray<4, InlineArray<3, Float>> = .init(repeating: [1, 3, 5])
  /// Of each eight weights the entry found.
  var codes = InlineArray<4, UInt16>(repeating: 0)

  init(grid: Grid8, count: Int) { (self.grid, self.count) = (grid, count) }

  /// The entry that is `code`, or else the neighbour of `code` with the smallest error on `scale`, the first of equals. Nil when
  /// none has an error that is a number.
  func entry(_ code: UInt16, of eight: Int, scale: Float) -> UInt16? {
    if grid.index(of: code) != nil { return code }
    var best = Float.greatestFiniteMagnitude
    var found: UInt16?
    grid.forEachNeighbour(of: code) { neighbour in
      var error: Float = 0
      for i in 0..<8 {
        let difference = scale * values[eight][Int(neighbour >> UInt16(2 * i) & 3)] - x[8 * eight + i]
        error += choiceWeights[8 * eight + i] * difference * difference
      }
      if error < best { (best, found) = (error, neighbour) }
    }
    return found
  }

  /// The weighted sums that the levels `codes` of the magnitudes fit a scale with: Σ w x q and Σ w q².
  func sums(_ codes: InlineArray<4, UInt16>) -> (xq: Float, qq: Float) {
    var (xq, qq): (Float, Float) = (0, 0)
    for i in 0..<count {
      let q = values[i / 8][Int(codes[i / 8] >> UInt16(2 * (i % 8)) & 3)]
      xq += weights[i] * x[i] * q
      qq += weights[i] * q * q
    }
    return (xq, qq)
  }

  /// Half of what `d` NaN is stored as.
  static let refused: UInt16 = 0x7E00
}

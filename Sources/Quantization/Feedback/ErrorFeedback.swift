import Bytes
public import Tensors

/// Rounds the rows of a weight so that its *output* stays close: what one column got wrong is made good by the later ones
/// (GPTQ in its LDLQ form), into ggml's own blocks, whose scales are chosen on the compensated weights.
public struct ErrorFeedback: Sendable {
  private let type: DType
  private let factor: FeedbackFactor
  private let layout: LevelLayout?
  private let refines: Bool

  /// Columns between two products with the errors of all columns before.
  private static let tile = 256

  /// - Parameters:
  ///   - factor: of the inputs of this weight, with blocks and groups of `type`.
  ///   - refines: whether scales are moved after ggml's search, and those of a group again when its turn comes.
  public init(_ factor: FeedbackFactor, type: DType, refines: Bool = true) {
    (self.type, self.factor, self.refines) = (type, factor, refines)
    layout = LevelLayout(type)
  }

  /// Weights that share a scale in `type`: what `FeedbackFactor` must keep together.
  public static func groupSize(_ type: DType) -> Int { LevelLayout(type)?.groupSize ?? type.blockElements }

  /// What rounding some rows came to.
  public struct Result: Sendable {
    /// The rows as blocks.
    public var bytes: [UInt8]
    /// `Σ R_kk² (w̃ − ŵ)²` over the rows: their squared output error a token, over the damped Hessian whose diagonal has
    /// mean 1.
    public var loss: Double
  }

  /// The rows as they are being rounded, columns in the order of rounding.
  private struct Panel {
    /// What the rounded rows should come to.
    let target: Matrix
    /// Target less rounded, up to the column reached.
    let errors: Matrix
    /// Of the tile's columns: the target and what the errors before add to it.
    let compensated: Matrix
    /// Where the tile begins and how many columns it has.
    var tile: Range<Int>
  }

  /// - Parameter w: (rows, columns), finite.
  /// - Throws: `LIMIT` when memory cannot be had.
  public func quantize(_ w: MatrixView) throws(InputError) -> Result {
    let (rows, n) = (w.rows, w.columns)
    precondition(n == factor.order.count && n % type.blockElements == 0, "a weight of another width")
    var panel = Panel(
      target: try target(of: w), errors: try Matrix(rows: rows, columns: n),
      compensated: try Matrix(rows: rows, columns: ErrorFeedback.tile), tile: 0..<0)
    let rowBytes = try type.byteCount(of: n)
    var result = Result(bytes: [UInt8](repeating: 0, count: rows * rowBytes), loss: 0)
    for start in stride(from: 0, to: n, by: ErrorFeedback.tile) {
      let tile = start..<min(n, start + ErrorFeedback.tile)
      panel.tile = tile
      let compensated = panel.compensated[0..<rows, 0..<tile.count]
      for row in 0..<rows {
        unsafe compensated.pointer(row: row).update(
          from: panel.target.view.pointer(row: row) + start, count: tile.count)
      }
      if start > 0 {
        compensated.assign(
          panel.errors[0..<rows, 0..<start], times: factor.coefficients[0..<start, tile], keeping: 1)
      }
      for first in stride(from: tile.lowerBound, to: tile.upperBound, by: type.blockElements) {
        round(block: first, in: panel, rowBytes: rowBytes, &result)
      }
    }
    return result
  }

  /// What to come close to: the weights, moved where the inputs have drifted already, in the order of rounding.
  private func target(of w: MatrixView) throws(InputError) -> Matrix {
    let moved = try Matrix(rows: w.rows, columns: w.columns)
    for row in 0..<w.rows { unsafe moved.view.pointer(row: row).update(from: w.pointer(row: row), count: w.columns) }
    if let correction = factor.correction { moved.view.assign(w, times: correction.view, keeping: 1) }
    let target = try Matrix(rows: w.rows, columns: w.columns)
    for row in 0..<w.rows {
      let (from, to) = unsafe (moved.view.pointer(row: row), target.view.pointer(row: row))
      for (position, column) in factor.order.enumerated() { unsafe to[position] = from[column] }
    }
    return target
  }

  /// The block at positions `first ..< first + blockElements`, in all rows.
  private func round(block first: Int, in panel: Panel, rowBytes: Int, _ result: inout Result) {
    let (rows, size, blockBytes) = (panel.target.rows, type.blockElements, type.blockBytes)
    // Positions are in the order of rounding, the block's own elements in the order of the file.
    let columns = factor.order[first..<first + size]
    let base = columns.min()!
    let places = columns.map { $0 - base }
    var values = [Float](repeating: 0, count: rows * size)
    var costs = [Float](repeating: 0, count: size)
    for (index, place) in places.enumerated() { costs[place] = factor.costs[first + index] }
    for row in 0..<rows {
      let from = unsafe panel.compensated.view.pointer(row: row) + (first - panel.tile.lowerBound)
      for (index, place) in places.enumerated() { unsafe values[row * size + place] = from[index] }
    }
    var bytes = [UInt8](repeating: 0, count: rows * blockBytes)
    var span = bytes.mutableSpan
    var blocks = unsafe span.mutableBytes
    BlockQuantizer.quantize(values.span, columns: size, as: type, importance: costs.span, into: &blocks)
    if let layout {
      var block = LevelBlock(layout, factor, first: first, refines: refines)
      for row in 0..<rows {
        let place = unsafe LevelBlock.Row(
          target: panel.target.view.pointer(row: row), errors: panel.errors.view.pointer(row: row),
          compensated: panel.compensated.view.pointer(row: row), tile: panel.tile)
        let x = values.span.extracting(row * size..<(row + 1) * size)
        result.loss += unsafe block.round(place, x, into: &blocks, at: row * blockBytes)
      }
    } else {
      result.loss += take(blocks.bytes, first: first, places: places, in: panel)
    }
    for row in 0..<rows {
      let to = row * rowBytes + base / size * blockBytes
      for index in 0..<blockBytes { result.bytes[to + index] = bytes[row * blockBytes + index] }
    }
  }

  /// Takes a block of a format without scalar levels as ggml rounds it; the columns after it take up its error.
  private func take(_ blocks: RawSpan, first: Int, places: [Int], in panel: Panel) -> Double {
    let (rows, size) = (panel.target.rows, type.blockElements)
    var stored = [Float](repeating: 0, count: rows * size)
    var decoded = stored.mutableSpan
    BlockDecoder.decode(blocks, as: type, into: &decoded)
    var loss = 0.0
    for row in 0..<rows {
      let x = unsafe panel.compensated.view.pointer(row: row) + (first - panel.tile.lowerBound)
      let (w, e) = unsafe (panel.target.view.pointer(row: row), panel.errors.view.pointer(row: row))
      for (index, place) in places.enumerated() {
        let difference = unsafe x[index] - stored[row * size + place]
        loss += Double(factor.costs[first + index]) * Double(difference * difference)
        unsafe e[first + index] = w[first + index] - stored[row * size + place]
      }
    }
    let rest = first + size..<panel.tile.upperBound
    panel.compensated[0..<rows, rest.lowerBound - panel.tile.lowerBound..<panel.tile.count].assign(
      panel.errors[0..<rows, first..<first + size], times: factor.coefficients[first..<first + size, rest], keeping: 1)
    return loss
  }
}

import Bytes
public import Tensors

/// Rounds the rows of a weight so that its *output* stays close: what one column got wrong is made good by the later ones
/// (GPTQ in its LDLQ form), into ggml's own blocks, whose scales are chosen on the compensated weights.
public struct ErrorFeedback: Sendable {
  private let type: DType
  private let factor: FeedbackFactor
  private let layout: LevelLayout?
  public var rounds = 0
  public var refresh = false

  /// Columns between two products with the errors of all columns before.
  private static let tile = 256

  /// - Parameters:
  ///   - factor: of the inputs of this weight, with blocks of `type`'s size.
  public init(_ factor: FeedbackFactor, type: DType) {
    (self.type, self.factor) = (type, factor)
    layout = LevelLayout(type)
  }

  public static func groupSize(_ type: DType) -> Int { LevelLayout(type)?.groupSize ?? type.blockElements }

  /// What rounding some rows came to.
  public struct Result: Sendable {
    /// The rows as blocks.
    public var bytes: [UInt8]
    /// `Σ R_kk² (w̃ − ŵ)²` over the rows: their output error over the damped Hessian of mean diagonal 1.
    public var loss: Double
  }

  /// - Parameter w: (rows, columns), finite.
  public func quantize(_ w: MatrixView) throws -> Result {
    let (rows, n) = (w.rows, w.columns)
    precondition(n == factor.order.count && n % type.blockElements == 0, "a weight of another width")
    let target = try Matrix(rows: rows, columns: n)
    let errors = try Matrix(rows: rows, columns: n)
    var w = w
    if let correction = factor.correction {
      let shifted = try Matrix(rows: rows, columns: n)
      for row in 0..<rows { unsafe shifted.view.pointer(row: row).update(from: w.pointer(row: row), count: n) }
      shifted.view.assign(w, times: correction.view, keeping: 1)
      w = shifted.view
    }
    for row in 0..<rows {
      let (from, to) = unsafe (w.pointer(row: row), target.view.pointer(row: row))
      for (position, column) in factor.order.enumerated() { unsafe to[position] = from[column] }
    }
    let rowBytes = try type.byteCount(of: n)
    var result = Result(bytes: [UInt8](repeating: 0, count: rows * rowBytes), loss: 0)
    let scratch = try Matrix(rows: rows, columns: ErrorFeedback.tile)
    for start in stride(from: 0, to: n, by: ErrorFeedback.tile) {
      let tile = start..<min(n, start + ErrorFeedback.tile)
      let compensated = scratch[0..<rows, 0..<tile.count]
      for row in 0..<rows {
        unsafe compensated.pointer(row: row).update(
          from: target.view.pointer(row: row) + start, count: tile.count)
      }
      if start > 0 {
        compensated.assign(
          errors[0..<rows, 0..<start], times: factor.coefficients[0..<start, tile], keeping: 1)
      }
      for first in stride(from: tile.lowerBound, to: tile.upperBound, by: type.blockElements) {
        quantize(
          block: first, in: tile, compensated, target.view, errors.view, rowBytes: rowBytes, &result)
      }
    }
    return result
  }

  /// The block at positions `first ..< first + blockElements`, in all rows; later columns of the tile take up its error.
  private func quantize(
    block first: Int, in tile: Range<Int>, _ compensated: MatrixView, _ target: MatrixView, _ errors: MatrixView,
    rowBytes: Int, _ result: inout Result
  ) {
    let (rows, size) = (target.rows, type.blockElements)
    let blockBytes = type.blockBytes
    // Positions are in the order of rounding, the block's own elements in the order of the file.
    let base = factor.order[first..<first + size].min()!
    let places = factor.order[first..<first + size].map { $0 - base }
    var values = [Float](repeating: 0, count: rows * size)
    var importance = [Float](repeating: 0, count: size)
    for (index, place) in places.enumerated() { importance[place] = factor.costs[first + index] }
    for row in 0..<rows {
      let from = unsafe compensated.pointer(row: row) + (first - tile.lowerBound)
      for (index, place) in places.enumerated() { unsafe values[row * size + place] = from[index] }
    }
    var bytes = [UInt8](repeating: 0, count: rows * blockBytes)
    var span = bytes.mutableSpan
    var raw = unsafe span.mutableBytes
    BlockQuantizer.quantize(values.span, columns: size, as: type, importance: importance.span, into: &raw)
    if let layout {
      var levels = [UInt8](repeating: 0, count: size)
      for row in 0..<rows {
        var scales = BlockScales(raw.bytes, at: row * blockBytes, type: type)
        let refinement = ScaleRefinement(layout)
        if rounds > 0 {
          unsafe values.withUnsafeBufferPointer { x in
            unsafe importance.withUnsafeBufferPointer { w in
              unsafe refinement.improve(&scales, x.baseAddress! + row * size, w.baseAddress!, rounds: rounds)
            }
          }
          scales.store(into: &raw, at: row * blockBytes, type: type)
        }
        var rounded = ScaledLevels(layout, scales)
        let (x, w, e) = unsafe (compensated.pointer(row: row), target.pointer(row: row), errors.pointer(row: row))
        for (index, place) in places.enumerated() {
          let position = first + index
          let inTile = position - tile.lowerBound
          if refresh && index % layout.groupSize == 0 {
            let group = place / layout.groupSize
            for other in index..<index + layout.groupSize {
              unsafe values[row * size + places[other]] = x[inTile + other - index]
            }
            let start = group * layout.groupSize
            unsafe values.withUnsafeBufferPointer { x in
              unsafe importance.withUnsafeBufferPointer { w in
                unsafe refinement.improve(&scales, group: group, x.baseAddress! + row * size + start, w.baseAddress! + start)
              }
            }
            rounded.set(group, scales)
          }
          let value = unsafe x[inTile]
          let (level, stored) = rounded.nearest(value, group: place / layout.groupSize)
          levels[place] = level
          let error = unsafe w[position] - stored
          unsafe e[position] = error
          result.loss += Double(factor.costs[position]) * Double((value - stored) * (value - stored))
          let next = inTile + 1
          unsafe RowKernel.add(
            factor.coefficients.view.pointer(row: position) + position + 1, times: error, to: x + next,
            count: tile.count - next)
        }
        if refresh { scales.store(into: &raw, at: row * blockBytes, type: type) }
        layout.store(levels.span, into: &raw, at: row * blockBytes)
      }
    } else {
      var stored = [Float](repeating: 0, count: rows * size)
      var decoded = stored.mutableSpan
      BlockDecoder.decode(raw.bytes, as: type, into: &decoded)
      for row in 0..<rows {
        let (x, w, e) = unsafe (compensated.pointer(row: row), target.pointer(row: row), errors.pointer(row: row))
        for (index, place) in places.enumerated() {
          let difference = unsafe x[first - tile.lowerBound + index] - stored[row * size + place]
          result.loss += Double(factor.costs[first + index]) * Double(difference * difference)
          unsafe e[first + index] = w[first + index] - stored[row * size + place]
        }
      }
      let rest = first + size..<tile.upperBound
      compensated[0..<rows, rest.lowerBound - tile.lowerBound..<tile.count].assign(
        errors[0..<rows, first..<first + size], times: factor.coefficients[first..<first + size, rest], keeping: 1)
    }
    for row in 0..<rows {
      let to = row * rowBytes + base / size * blockBytes
      for index in 0..<blockBytes { result.bytes[to + index] = bytes[row * blockBytes + index] }
    }
  }
}

/// The values that the levels of one block stand for.
struct ScaledLevels {
  private let layout: LevelLayout
  private var scales = InlineArray<16, Float>(repeating: 0)
  private var offsets = InlineArray<16, Float>(repeating: 0)
  private var inverses = InlineArray<16, Float>(repeating: 0)

  init(_ layout: LevelLayout, _ block: BlockScales) {
    self.layout = layout
    for group in 0..<layout.groups { set(group, block) }
  }

  mutating func set(_ group: Int, _ block: borrowing BlockScales) {
    let scale = block.scale(group)
    scales[group] = scale
    offsets[group] = layout.hasOffset ? block.offset(group) : 0
    inverses[group] = scale == 0 ? 0 : 1 / scale
  }

  /// The level nearest to `x`, and the number that it is read back as.
  @inline(__always)
  func nearest(_ x: Float, group: Int) -> (level: UInt8, value: Float) {
    let scaled = (x + offsets[group]) * inverses[group]
    let last = layout.values.count - 1
    let level: Int
    if layout.isUniform {
      let rounded = (scaled - layout.values[0]).rounded(.toNearestOrEven)
      level = rounded >= Float(last) ? last : rounded > 0 ? Int(rounded) : 0
    } else {
      var low = 0
      while low < last && layout.values[low] + layout.values[low + 1] < 2 * scaled { low += 1 }
      level = low
    }
    let product = scales[group] * layout.values[level]
    return (UInt8(level), layout.hasOffset ? product - offsets[group] : product)
  }
}

/// Arithmetic on rows.
enum RowKernel {
  /// `y += x · factor`.
  @inline(__always)
  static func add(_ x: UnsafeMutablePointer<Float>, times factor: Float, to y: UnsafeMutablePointer<Float>, count: Int) {
    for index in 0..<count { unsafe y[index] += x[index] * factor }
  }
}

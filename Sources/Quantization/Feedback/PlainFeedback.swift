import Bytes
package import Tensors

/// Error feedback into plain groups of symmetric four-bit integers, as GPTQ and AWQ have them: see `LevelLayout(groupsOf:)`.
/// No GGUF has such groups; other implementations of GPTQ have nothing else, so the core is held against them in these.
///
/// The scales of all groups are chosen first, on the target and with what an error costs after the feedback. So the columns
/// are free to be rounded in any order, by falling importance over all groups: where few columns weigh most that loses less
/// than scales that follow the feedback.
package struct PlainFeedback: Sendable {
  private let factor: FeedbackFactor
  private let layout: LevelLayout

  /// Columns that are rounded between two takings up of what the tile's columns before got wrong.
  private static let step = 32

  /// - Parameters:
  ///   - factor: with `ColumnGroups.none`.
  ///   - groupSize: 32, 64 or 128, of which the columns are a multiple.
  package init(_ factor: FeedbackFactor, groupSize: Int) {
    (self.factor, layout) = (factor, LevelLayout(groupsOf: groupSize))
  }

  /// - Parameters:
  ///   - w: (rows, columns), finite.
  ///   - scratch: no other thread may use it meanwhile; `nil` for one of its own.
  /// - Throws: `LIMIT` when memory cannot be had.
  package func quantize(_ w: MatrixView, _ scratch: ProductScratch? = nil) throws(InputError) -> ErrorFeedback.Result {
    let (n, size) = (w.columns, layout.elements)
    precondition(n == factor.order.count && n % size == 0, "a weight of another width")
    let scratch = if let scratch { scratch } else { try ProductScratch() }
    var panel = try FeedbackPanel(w, factor, scratch)
    let scales = scales(panel)
    // (columns, stride), columns in the order of the file.
    var levels = [UInt8](repeating: 0, count: n * panel.stride)
    var loss = 0.0
    for start in stride(from: 0, to: n, by: FeedbackFactor.tile) {
      panel.begin(start..<min(n, start + FeedbackFactor.tile), factor, scratch)
      for first in stride(from: start, to: panel.tile.upperBound, by: PlainFeedback.step) {
        loss += round(first..<first + PlainFeedback.step, panel, scales, &levels)
      }
    }
    return ErrorFeedback.Result(bytes: stored(levels, scales, panel), loss: loss)
  }

  /// Of each group of each row, (groups, stride).
  private func scales(_ panel: FeedbackPanel) -> [Float] {
    let (size, n) = (layout.elements, factor.order.count)
    var places = [Int](repeating: 0, count: n)
    for (position, column) in factor.order.enumerated() { places[column] = position }
    let costs = places.map { factor.costs[$0] }
    var values = [Float](repeating: 0, count: size)
    var scales = [Float](repeating: 0, count: n / size * panel.stride)
    for group in 0..<n / size {
      for row in 0..<panel.rows {
        for index in 0..<size {
          values[index] = unsafe panel.target.view.pointer(row: places[group * size + index])[row]
        }
        scales[group * panel.stride + row] = PlainGroup.scale(
          values.span, weights: costs.span.extracting(group * size..<(group + 1) * size))
      }
    }
    return scales
  }

  /// Rounds the columns at `positions` one by one, each error going to those after it.
  private func round(
    _ positions: Range<Int>, _ panel: FeedbackPanel, _ scales: [Float], _ levels: inout [UInt8]
  ) -> Double {
    let before = panel.tile.lowerBound..<positions.lowerBound
    if !before.isEmpty {
      LevelKernels.takeUp(
        errors: panel.errors(before), times: factor.coefficients(before, positions), in: panel.compensated(positions))
    }
    let (x, errors, target) = (panel.compensated(positions), panel.errors(positions), panel.target[positions])
    var loss = 0.0
    for (index, position) in positions.enumerated() {
      let column = factor.order[position]
      let (scaleOf, levelOf) = (column / layout.elements * panel.stride, column * panel.stride)
      let cost = Double(factor.costs[position])
      let (value, wanted, error) = unsafe (
        x.pointer(row: index), target.pointer(row: index), errors.pointer(row: index)
      )
      for row in 0..<panel.rows {
        let scale = scales[scaleOf + row]
        let nearest = scale == 0 ? 0 : unsafe (value[row] / scale).rounded(.toNearestOrEven)
        let level = nearest >= 7 ? 7 : nearest > -8 ? nearest : -8
        let stored = scale * level
        levels[levelOf + row] = UInt8(level + 8)
        let difference = unsafe Double(value[row] - stored)
        loss += cost * difference * difference
        unsafe error[row] = wanted[row] - stored
      }
      let coefficients = factor.coefficients(position..<position + 1, positions)
      for next in index + 1..<max(index + 1, positions.count) {
        let coefficient = unsafe coefficients.pointer[next]
        let later = unsafe x.pointer(row: next)
        for row in 0..<panel.rows { unsafe later[row] += coefficient * error[row] }
      }
    }
    return loss
  }

  private func stored(_ levels: [UInt8], _ scales: [Float], _ panel: FeedbackPanel) -> [UInt8] {
    let (size, stride) = (layout.elements, panel.stride)
    let groups = factor.order.count / size
    let rowBytes = groups * layout.blockBytes
    var bytes = [UInt8](repeating: 0, count: panel.rows * rowBytes)
    var span = bytes.mutableSpan
    var blocks = unsafe span.mutableBytes
    for group in 0..<groups {
      let first = group * layout.blockBytes
      for row in 0..<panel.rows {
        BlockScales(d: scales[group * stride + row], dmin: 0)
          .store(into: &blocks, at: first + row * rowBytes, type: layout.type)
      }
      layout.store(
        Array(levels[group * size * stride..<(group + 1) * size * stride]), stride: stride, rows: panel.rows,
        into: &blocks, at: first, next: rowBytes)
    }
    return bytes
  }
}

/// Groups of symmetric four-bit integers, −8 to 7, with a scale that is a half and nothing else.
private enum PlainGroup {
  /// The scale, of either sign, with which the weighted squared error of `x` is least among some: the extreme value on a
  /// level from 7.1 to 8.9 of either end, then least squares for the integers that it gives.
  /// - Returns: a half; 0 where nothing weighs or nothing fits.
  static func scale(_ x: Span<Float>, weights: Span<Float>) -> Float {
    var extreme: Float = 0
    for i in x.indices where x[i].magnitude > extreme.magnitude { extreme = x[i] }
    guard extreme != 0 else { return 0 }
    var (best, gain): (Float, Float) = (0, 0)
    for end: Float in [-1, 1] {
      for step in -9...9 {
        let inverse = end * (8 + 0.1 * Float(step)) / extreme
        var (xl, ll): (Float, Float) = (0, 0)
        for i in x.indices {
          let level = max(-8, min(7, (inverse * x[i]).rounded(.toNearestOrEven)))
          xl += weights[i] * x[i] * level
          ll += weights[i] * level * level
        }
        // Σ w x² − Σ w (x − d l)² at the best d.
        if ll > 0, xl * xl > gain * ll { (best, gain) = (xl / ll, xl * xl / ll) }
      }
    }
    let stored = Half.float(Half.bits(best))
    return stored.isFinite ? stored : 0
  }
}

import Tensors

/// Moves the stored scales of a block to where the weighted squared error is least, starting from those that ggml's search
/// found: never worse, by the weights given, than what it starts from. The definition of `LevelKernels.refine`.
struct ScaleRefinement {
  private let layout: LevelLayout
  private let range: ClosedRange<Int32>?
  /// Rounds of moving every group's codes and then the block's own scale.
  static let rounds = 2

  /// Steps that one group's codes may take in a round.
  private static let steps = 4

  init(_ layout: LevelLayout) {
    self.layout = layout
    range = BlockScales.codeRange(layout.type)
  }

  /// - Parameters:
  ///   - x: the values of the block.
  ///   - weights: of each.
  func improve(_ scales: inout BlockScales, _ x: Span<Float>, _ weights: Span<Float>) {
    for _ in 0..<ScaleRefinement.rounds {
      for group in 0..<layout.groups {
        let part = group * layout.groupSize..<(group + 1) * layout.groupSize
        improve(&scales, group: group, x.extracting(part), weights.extracting(part))
      }
      refit(&scales, x, weights)
    }
  }

  /// Tries the neighbours of one group's codes until none is better.
  /// - Parameters:
  ///   - x: the values of the group.
  func improve(_ scales: inout BlockScales, group: Int, _ x: Span<Float>, _ weights: Span<Float>) {
    guard let range else { return }
    var best = error(x, weights, scales.scale(group), layout.hasOffset ? scales.offset(group) : 0)
    for _ in 0..<ScaleRefinement.steps {
      let (code, minimum) = (scales.codes[group], scales.minimums[group])
      var found = (code, minimum)
      for codeStep: Int32 in -1...1 {
        for minimumStep: Int32 in layout.hasOffset ? -1...1 : 0...0 where codeStep != 0 || minimumStep != 0 {
          let (c, m) = (code + codeStep, minimum + minimumStep)
          guard range.contains(c), !layout.hasOffset || range.contains(m) else { continue }
          let e = error(x, weights, scales.d * Float(c), layout.hasOffset ? scales.dmin * Float(m) : 0)
          if e < best { (best, found) = (e, (c, m)) }
        }
      }
      guard found != (code, minimum) else { return }
      (scales.codes[group], scales.minimums[group]) = found
    }
  }

  /// `Σ w (x − value)²` of one group, each `x` on its nearest level, in eight lanes.
  private func error(_ x: Span<Float>, _ weights: Span<Float>, _ scale: Float, _ offset: Float) -> Float {
    let inverse = scale == 0 ? 0 : 1 / scale
    var total = SIMD8<Float>()
    guard layout.isUniform else {
      for index in x.indices {
        let difference = x[index] - scale * layout.values[layout.nearest(x[index] * inverse)]
        total[index & 7] += weights[index] * difference * difference
      }
      return total.sum()
    }
    let low = SIMD8<Float>(repeating: layout.values[0])
    let high = SIMD8<Float>(repeating: layout.values[layout.values.count - 1])
    for index in stride(from: 0, to: x.count, by: 8) {
      let values = x.lanes(index) + offset
      // Adding 1.5 · 2²³ rounds to the nearest whole number, ties to even.
      var level = values * inverse + 12_582_912 - 12_582_912
      level.replace(with: low, where: level .< low)
      level.replace(with: high, where: level .> high)
      let difference = values - level * scale
      total += weights.lanes(index) * difference * difference
    }
    return total.sum()
  }

  private func error(_ scales: borrowing BlockScales, _ x: Span<Float>, _ weights: Span<Float>) -> Float {
    var total: Float = 0
    for group in 0..<layout.groups {
      let part = group * layout.groupSize..<(group + 1) * layout.groupSize
      total += error(
        x.extracting(part), weights.extracting(part), scales.scale(group), layout.hasOffset ? scales.offset(group) : 0)
    }
    return total
  }

  /// Least squares of `d` and `dmin` for the levels that the values lie nearest to now; kept when the error falls.
  private func refit(_ scales: inout BlockScales, _ x: Span<Float>, _ weights: Span<Float>) {
    var (aa, ab, bb, ax, bx) = (0.0, 0.0, 0.0, 0.0, 0.0)
    for group in 0..<layout.groups {
      let (scale, offset) = (scales.scale(group), layout.hasOffset ? scales.offset(group) : 0)
      let inverse = scale == 0 ? 0 : 1 / scale
      for index in group * layout.groupSize..<(group + 1) * layout.groupSize {
        let value = layout.values[layout.nearest((x[index] + offset) * inverse)]
        let a = Double(scales.codes[group]) * Double(value)
        let b = layout.hasOffset ? -Double(scales.minimums[group]) : 0
        let (weight, x) = (Double(weights[index]), Double(x[index]))
        aa += weight * a * a
        ab += weight * a * b
        bb += weight * b * b
        ax += weight * a * x
        bx += weight * b * x
      }
    }
    var candidate = scales
    if bb > 0 {
      let determinant = aa * bb - ab * ab
      guard determinant > 1e-12 * aa * bb else { return }
      candidate.d = ScaleRefinement.half((ax * bb - bx * ab) / determinant)
      candidate.dmin = ScaleRefinement.half((bx * aa - ax * ab) / determinant)
    } else {
      guard aa > 0 else { return }
      candidate.d = ScaleRefinement.half(ax / aa)
    }
    guard candidate.d.isFinite, candidate.dmin.isFinite else { return }
    if error(candidate, x, weights) < error(scales, x, weights) { scales = candidate }
  }

  private static func half(_ value: Double) -> Float { Half.float(Half.bits(Float(value))) }
}

extension Span<Float> {
  /// Eight values from `index` on.
  @inline(__always)
  fileprivate func lanes(_ index: Int) -> SIMD8<Float> {
    unsafe bytes.unsafeLoadUnaligned(fromByteOffset: 4 * index, as: SIMD8<Float>.self)
  }
}

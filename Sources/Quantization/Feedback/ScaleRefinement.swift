import Tensors

/// Moves the stored scales of a block, one at a time, to where the weighted squared error is least, starting from those that
/// ggml's search found: never worse, by the weights given, than what it starts from.
struct ScaleRefinement {
  let layout: LevelLayout
  let range: ClosedRange<Int32>?

  init(_ layout: LevelLayout) {
    self.layout = layout
    range = BlockScales.codeRange(layout.type)
  }

  /// `Σ w (x − value)²` of one group, each `x` on its nearest level.
  @inline(__always)
  func error(
    _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>, _ scale: Float, _ offset: Float
  ) -> Float {
    let inverse = scale == 0 ? 0 : 1 / scale
    var total = SIMD8<Float>()
    if layout.isUniform {
      let low = SIMD8<Float>(repeating: layout.values[0])
      let high = SIMD8<Float>(repeating: layout.values[layout.values.count - 1])
      for index in stride(from: 0, to: layout.groupSize, by: 8) {
        let values = unsafe UnsafeRawPointer(x + index).loadUnaligned(as: SIMD8<Float>.self) + offset
        let weights = unsafe UnsafeRawPointer(w + index).loadUnaligned(as: SIMD8<Float>.self)
        var level = values * inverse + 12582912 - 12582912
        level.replace(with: low, where: level .< low)
        level.replace(with: high, where: level .> high)
        let difference = values - level * scale
        total += weights * difference * difference
      }
    } else {
      for index in 0..<layout.groupSize {
        let scaled = unsafe x[index] * inverse
        let difference = unsafe x[index] - scale * layout.values[nearest(scaled)]
        unsafe total[0] += w[index] * difference * difference
      }
    }
    return total.sum()
  }

  @inline(__always)
  func nearest(_ scaled: Float) -> Int {
    let last = layout.values.count - 1
    var low = 0
    while low < last && layout.values[low] + layout.values[low + 1] < 2 * scaled { low += 1 }
    return low
  }

  /// Tries the neighbours of one group's codes until none is better.
  func improve(_ scales: inout BlockScales, group: Int, _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>) {
    guard let range else { return }
    var best = unsafe error(x, w, scales.scale(group), layout.hasOffset ? scales.offset(group) : 0)
    for _ in 0..<4 {
      let (code, minimum) = (scales.codes[group], scales.minimums[group])
      var found = (code, minimum)
      for codeStep: Int32 in -1...1 {
        for minimumStep: Int32 in layout.hasOffset ? -1...1 : 0...0 where codeStep != 0 || minimumStep != 0 {
          let (c, m) = (code + codeStep, minimum + minimumStep)
          guard range.contains(c), !layout.hasOffset || range.contains(m) else { continue }
          let e = unsafe error(x, w, scales.d * Float(c), layout.hasOffset ? scales.dmin * Float(m) : 0)
          if e < best { (best, found) = (e, (c, m)) }
        }
      }
      guard found != (code, minimum) else { return }
      (scales.codes[group], scales.minimums[group]) = found
    }
  }

  /// The error of the whole block.
  func error(_ scales: borrowing BlockScales, _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>) -> Float {
    var total: Float = 0
    for group in 0..<layout.groups {
      let start = group * layout.groupSize
      total += unsafe error(x + start, w + start, scales.scale(group), layout.hasOffset ? scales.offset(group) : 0)
    }
    return total
  }

  /// Least squares of `d` and `dmin` for the levels that the values lie nearest to now; kept when the error falls.
  func refit(_ scales: inout BlockScales, _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>) {
    var (aa, ab, bb, ax, bx) = (0.0, 0.0, 0.0, 0.0, 0.0)
    for group in 0..<layout.groups {
      let (scale, offset) = (scales.scale(group), layout.hasOffset ? scales.offset(group) : 0)
      let inverse = scale == 0 ? 0 : 1 / scale
      for index in group * layout.groupSize..<(group + 1) * layout.groupSize {
        let scaled = unsafe (x[index] + offset) * inverse
        let value: Float
        if layout.isUniform {
          value = min(max(scaled.rounded(.toNearestOrEven), layout.values[0]), layout.values[layout.values.count - 1])
        } else {
          value = layout.values[nearest(scaled)]
        }
        let a = Double(scales.codes[group]) * Double(value)
        let b = layout.hasOffset ? -Double(scales.minimums[group]) : 0
        let weight = unsafe Double(w[index])
        aa += weight * a * a
        ab += weight * a * b
        bb += weight * b * b
        unsafe ax += weight * a * Double(x[index])
        unsafe bx += weight * b * Double(x[index])
      }
    }
    var candidate = copy scales
    if bb > 0 {
      let determinant = aa * bb - ab * ab
      guard determinant > 1e-12 * aa * bb else { return }
      candidate.d = Half.float(Half.bits(Float((ax * bb - bx * ab) / determinant)))
      candidate.dmin = Half.float(Half.bits(Float((bx * aa - ax * ab) / determinant)))
    } else {
      guard aa > 0 else { return }
      candidate.d = Half.float(Half.bits(Float(ax / aa)))
    }
    guard candidate.d.isFinite, candidate.dmin.isFinite else { return }
    if unsafe error(candidate, x, w) < error(scales, x, w) { scales = candidate }
  }

  /// Groups, then the block's own scale, `rounds` times.
  func improve(_ scales: inout BlockScales, _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>, rounds: Int) {
    for _ in 0..<rounds {
      for group in 0..<layout.groups {
        let start = group * layout.groupSize
        unsafe improve(&scales, group: group, x + start, w + start)
      }
      unsafe refit(&scales, x, w)
    }
  }
}

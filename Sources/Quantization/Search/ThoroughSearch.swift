public import Bytes
public import Tensors

/// Plain rounding with a longer search for the scales: the same formats and sizes, smaller errors, other bytes than ggml's.
public enum ThoroughSearch {
  /// Rows that are worked on together.
  private static let rowsTogether = 64

  /// Quantizes X (rows, columns) as `BlockQuantizer.quantize` does and then moves the scales of every block while its
  /// weighted squared error falls. Formats without scalar levels stay as they are.
  ///
  /// - Parameters:
  ///   - x: whole rows, finite.
  ///   - importance: of each column; without it errors weigh as ggml has them weigh, by the magnitude of the value.
  ///   - out: at least as many bytes as the blocks take.
  /// - Throws: `LIMIT` when memory cannot be had.
  public static func quantize(
    _ x: Span<Float>, columns: Int, as type: DType, importance: Span<Float>?, into out: inout MutableRawSpan
  ) throws(InputError) {
    BlockQuantizer.quantize(x, columns: columns, as: type, importance: importance, into: &out)
    guard let layout = LevelLayout(type) else { return }
    let (rows, size, lanes) = (x.count / columns, layout.elements, LevelKernels.lanes)
    let rowBytes = columns / size * type.blockBytes
    for first in stride(from: 0, to: rows, by: rowsTogether) {
      let part = first..<min(rows, first + rowsTogether)
      let width = (part.count + lanes - 1) / lanes * lanes
      let values = try Matrix(rows: size, columns: width)
      let weights = try Matrix(rows: importance == nil ? size : 0, columns: width)
      for column in stride(from: 0, to: columns, by: size) {
        for element in 0..<size {
          let to = unsafe values.view.pointer(row: element)
          for row in 0..<part.count { unsafe to[row] = x[(first + row) * columns + column + element] }
        }
        let at = first * rowBytes + column / size * type.blockBytes
        var block = LevelPanel(layout, rows: part.count, stride: width)
        block.read(out.bytes, at: at, next: rowBytes)
        if let importance {
          block.refine(values.view, weights: importance.extracting(column..<column + size))
        } else {
          for row in 0..<part.count {
            let start = (first + row) * columns + column
            let own = MagnitudeWeights.weights(x.extracting(start..<start + size), layout)
            for element in 0..<size { unsafe weights.view.pointer(row: element)[row] = own[element] }
          }
          block.refine(values.view, weights: weights.view)
        }
        block.findLevels(values.view)
        block.store(into: &out, at: at, next: rowBytes)
      }
    }
  }

  /// The definition of `quantize`, block by block.
  package static func quantizeReference(
    _ x: Span<Float>, columns: Int, as type: DType, importance: Span<Float>?, into out: inout MutableRawSpan
  ) {
    BlockQuantizer.quantizeReference(x, columns: columns, as: type, importance: importance, into: &out)
    guard let layout = LevelLayout(type) else { return }
    let refinement = ScaleRefinement(layout)
    var levels = [UInt8](repeating: 0, count: layout.elements)
    for block in 0..<x.count / layout.elements {
      let column = block * layout.elements % columns
      let at = block * type.blockBytes
      var scales = BlockScales(out.bytes, at: at, type: type)
      let values = x.extracting(block * layout.elements..<(block + 1) * layout.elements)
      if let importance {
        refinement.improve(&scales, values, importance.extracting(column..<column + layout.elements))
      } else {
        refinement.improve(&scales, values, MagnitudeWeights.weights(values, layout).span)
      }
      scales.store(into: &out, at: at, type: type)
      let rounded = ScaledLevels(layout, scales)
      for element in 0..<layout.elements {
        levels[element] = rounded.nearest(values[element], group: element / layout.groupSize).level
      }
      layout.store(levels.span, into: &out, at: at)
    }
  }
}

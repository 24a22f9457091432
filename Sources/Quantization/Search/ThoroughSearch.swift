public import Tensors

/// Plain rounding with a longer search for the scales: the same formats and sizes, smaller errors, other bytes than ggml's.
public enum ThoroughSearch {
  /// Quantizes X (rows, columns) as `BlockQuantizer.quantize` does and then moves the scales of every block while its
  /// weighted squared error falls. Formats without scalar levels stay as they are.
  ///
  /// - Parameters:
  ///   - x: whole rows, finite.
  ///   - importance: of each column; all alike when there is none.
  ///   - out: at least as many bytes as the blocks take.
  public static func quantize(
    _ x: Span<Float>, columns: Int, as type: DType, importance: Span<Float>?, into out: inout MutableRawSpan
  ) {
    guard let layout = LevelLayout(type) else {
      BlockQuantizer.quantize(x, columns: columns, as: type, importance: importance, into: &out)
      return
    }
    let alike = [Float](repeating: 1, count: columns)
    let weights = if let importance { importance } else { alike.span }
    BlockQuantizer.quantize(x, columns: columns, as: type, importance: weights, into: &out)
    let refinement = ScaleRefinement(layout)
    var levels = [UInt8](repeating: 0, count: layout.elements)
    for block in 0..<x.count / layout.elements {
      let column = block * layout.elements % columns
      let at = block * type.blockBytes
      var scales = BlockScales(out.bytes, at: at, type: type)
      let values = x.extracting(block * layout.elements..<(block + 1) * layout.elements)
      refinement.improve(&scales, values, weights.extracting(column..<column + layout.elements))
      scales.store(into: &out, at: at, type: type)
      let rounded = ScaledLevels(layout, scales)
      for element in 0..<layout.elements {
        levels[element] = rounded.nearest(values[element], group: element / layout.groupSize).level
      }
      layout.store(levels.span, into: &out, at: at)
    }
  }
}

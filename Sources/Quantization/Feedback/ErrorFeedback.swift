import Bytes
public import Tensors

/// Rounds the rows of a weight so that its *output* stays close: what one column got wrong is made good by the later ones
/// (GPTQ in its LDLQ form), into ggml's own blocks, whose scales are chosen on the compensated weights.
public struct ErrorFeedback: Sendable {
  let type: DType
  let factor: FeedbackFactor
  let layout: LevelLayout?
  let refines: Bool

  /// - Parameters:
  ///   - factor: of the inputs of this weight, with the `ColumnGroups` of `type`.
  ///   - refines: whether scales are moved after ggml's search, and those of a group again when its turn comes.
  public init(_ factor: FeedbackFactor, type: DType, refines: Bool = true) {
    (self.type, self.factor, self.refines) = (type, factor, refines)
    layout = LevelLayout(type)
  }

  /// What rounding some rows came to.
  public struct Result: Sendable {
    /// The rows as blocks.
    public var bytes: [UInt8]
    /// `Σ R_kk² (w̃ − ŵ)²` over the rows: their squared output error a token, over the damped Hessian whose diagonal has
    /// mean 1.
    public var loss: Double
  }

  /// The bytes of a row do not depend on what rows are rounded with it.
  ///
  /// - Parameters:
  ///   - w: (rows, columns), finite.
  ///   - scratch: no other thread may use it meanwhile; `nil` for one of its own.
  /// - Throws: `LIMIT` when memory cannot be had.
  public func quantize(_ w: MatrixView, _ scratch: ProductScratch? = nil) throws(InputError) -> Result {
    try quantize(w, scratch, byDefinition: false)
  }

  /// The definition of `quantize`: row by row and weight by weight.
  package func quantizeReference(_ w: MatrixView) throws(InputError) -> Result {
    try quantize(w, nil, byDefinition: true)
  }

  private func quantize(
    _ w: MatrixView, _ scratch: ProductScratch?, byDefinition: Bool
  ) throws(InputError) -> Result {
    let n = w.columns
    let scratch = if let scratch { scratch } else { try ProductScratch() }
    precondition(n == factor.order.count && n % type.blockElements == 0, "a weight of another width")
    var panel = try FeedbackPanel(w, factor, scratch)
    let rowBytes = try type.byteCount(of: n)
    var result = Result(bytes: [UInt8](repeating: 0, count: w.rows * rowBytes), loss: 0)
    for start in stride(from: 0, to: n, by: FeedbackFactor.tile) {
      panel.begin(start..<min(n, start + FeedbackFactor.tile), factor, scratch)
      for first in stride(from: start, to: panel.tile.upperBound, by: type.blockElements) {
        let block = FeedbackBlock(self, first: first)
        if !byDefinition { block.takeUpErrors(in: panel) }
        var bytes = block.plain(panel)
        result.loss += byDefinition ? block.roundReference(&bytes, in: panel) : block.round(&bytes, in: panel)
        for row in 0..<w.rows {
          let to = row * rowBytes + block.base / type.blockElements * type.blockBytes
          for index in 0..<type.blockBytes { result.bytes[to + index] = bytes[row * type.blockBytes + index] }
        }
      }
    }
    return result
  }
}

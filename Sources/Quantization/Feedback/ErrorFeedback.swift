import Bytes
public import Tensors

/// Rounds the rows of a weight so that its *output* stays close: what one column got wrong is made good by the later ones
/// (GPTQ in its LDLQ form), into ggml's own blocks, whose scales are chosen on the compensated weights.
public struct ErrorFeedback: Sendable {
  let type: DType
  let factor: FeedbackFactor
  let layout: LevelLayout?
  let refines: Bool

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

  /// The bytes of a row may depend on how many rows are rounded with it, by the order of sums in a product of matrices:
  /// divide a weight always alike.
  ///
  /// - Parameter w: (rows, columns), finite.
  /// - Throws: `LIMIT` when memory cannot be had.
  public func quantize(_ w: MatrixView) throws(InputError) -> Result { try quantize(w, byDefinition: false) }

  /// The definition of `quantize`: row by row and weight by weight.
  package func quantizeReference(_ w: MatrixView) throws(InputError) -> Result { try quantize(w, byDefinition: true) }

  private func quantize(_ w: MatrixView, byDefinition: Bool) throws(InputError) -> Result {
    let n = w.columns
    precondition(n == factor.order.count && n % type.blockElements == 0, "a weight of another width")
    var panel = try FeedbackPanel(w, factor, tile: ErrorFeedback.tile)
    let rowBytes = try type.byteCount(of: n)
    var result = Result(bytes: [UInt8](repeating: 0, count: w.rows * rowBytes), loss: 0)
    for start in stride(from: 0, to: n, by: ErrorFeedback.tile) {
      panel.begin(start..<min(n, start + ErrorFeedback.tile), factor)
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

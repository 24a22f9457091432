import Bytes
import Models
public import Tensors

/// How far a model computed in an arithmetic is from itself computed in F32: what a comparison in that arithmetic cannot see
/// below.
public struct ArithmeticFloor: Sendable {
  public let arithmetic: Arithmetic
  public let chunks: Int
  public let tokensScored: Int
  /// Mean Kullback-Leibler divergence from F32, in nats, and its standard error.
  public let meanDivergence: Double
  public let meanDivergenceStandardError: Double
  /// `ln(perplexity / perplexity in F32)`, and its standard error.
  public let logRatio: Double
  public let logRatioStandardError: Double
  public let topOneAgreement: Double
  /// Of the hidden state after the last layer.
  public let relativeStateError: Double

  /// A walk of a model in both, whose memory is planned.
  struct Walk {
    private let model: ModelInput
    private let chunks: TextChunks
    private let options: WalkOptions
    private let plan: WalkMemory

    /// - Throws: `LIMIT` when not even one chunk fits in the memory.
    init(of model: ModelInput, _ chunks: TextChunks, _ options: WalkOptions) throws {
      (self.model, self.chunks, self.options) = (model, chunks, options)
      plan = try options.plan([model, model], chunks, sharesBuffers: false)
    }

    func run(_ progress: ProgressHandler?) throws -> ArithmeticFloor {
      let reference = try ForwardPass(model.model, jobs: options.jobs, residentOutput: plan.residentOutput)
      let pass = try ForwardPass(
        model.model, jobs: options.jobs, arithmetic: options.arithmetic, sharing: reference,
        residentOutput: plan.residentOutput)
      let walked = try options.evaluation(chunks, plan, "beside F32", progress).drift(of: [pass], from: reference)[0]
      return ArithmeticFloor(options.arithmetic, chunks: chunks.count, walked)
    }
  }

  private init(_ arithmetic: Arithmetic, chunks: Int, _ walked: CandidateDrift) {
    let drift = walked.drift
    (self.arithmetic, self.chunks) = (arithmetic, chunks)
    tokensScored = drift.count
    (meanDivergence, meanDivergenceStandardError) = (drift.meanDivergence, drift.meanDivergenceStandardError)
    (logRatio, logRatioStandardError) = (drift.logRatio, drift.logRatioStandardError)
    topOneAgreement = drift.topOneAgreement
    relativeStateError = walked.layers.last?.state.relativeRMSError ?? 0
  }

  var json: JSONText {
    .object([
      ("chunks", .int(chunks)), ("tokens_scored", .int(tokensScored)),
      ("kld", .object([("mean", .double(meanDivergence)), ("standard_error", .double(meanDivergenceStandardError))])),
      ("ln_ratio", .double(logRatio)), ("ln_ratio_standard_error", .double(logRatioStandardError)),
      ("top1_agreement", .double(topOneAgreement)), ("relative_state_error", .double(relativeStateError)),
    ])
  }

  var text: String {
    """
    \(arithmetic) beside f32 over \(tokensScored) tokens: mean KL divergence \(decimals(meanDivergence, 6)) ± \
    \(decimals(meanDivergenceStandardError, 6)), ln ratio \(decimals(logRatio, 6)) ± \
    \(decimals(logRatioStandardError, 6)), same token first \(decimals(100 * topOneAgreement, 2)) %
    """
  }
}

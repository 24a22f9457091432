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

  /// Walks `model` in both over the first chunks of `text`.
  /// - Parameter options: `chunks` says how many, `arithmetic` which.
  public init(of model: ModelInput, text: TextFile, options: WalkOptions, progress: ProgressHandler? = nil) throws {
    let chunks = try options.chunks(of: text, for: model)
    let reference = try ForwardPass(model.model, jobs: options.jobs)
    let pass = try ForwardPass(model.model, jobs: options.jobs, arithmetic: options.arithmetic, sharing: reference)
    let plan = try options.plan([model, model], chunks)
    let walked = try options.evaluation(chunks, plan, "beside F32", progress).drift(of: [pass], from: reference)[0]
    let drift = walked.drift
    arithmetic = options.arithmetic
    self.chunks = chunks.count
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

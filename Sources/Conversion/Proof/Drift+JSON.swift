import Bytes
import Models

extension Drift {
  /// Fractions of the divergence that are reported, with the names of their keys.
  static let divergenceFractions: [(key: String, fraction: Double)] = [
    ("p001", 0.001), ("p01", 0.01), ("p05", 0.05), ("p10", 0.1), ("p25", 0.25), ("median", 0.5), ("p75", 0.75),
    ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999), ("max", 1),
  ]

  /// Fractions of the change of probability, as llama-perplexity prints them.
  static let changeFractions: [(key: String, fraction: Double)] = [
    ("max", 1), ("p999", 0.999), ("p99", 0.99), ("p95", 0.95), ("p90", 0.9), ("p75", 0.75), ("median", 0.5),
    ("p25", 0.25), ("p10", 0.1), ("p05", 0.05), ("p01", 0.01), ("p001", 0.001), ("min", 0),
  ]

  /// Keys and values of a report that come from the predictions.
  var members: [(String, JSONText)] {
    let divergences = zip(Drift.divergenceFractions, divergencePercentiles(Drift.divergenceFractions.map(\.fraction)))
    let changes = zip(Drift.changeFractions, probabilityChangePercentiles(Drift.changeFractions.map(\.fraction)))
    let bootstrap = bootstrap
    return [
      ("perplexity_reference", .double(reference.perplexity)),
      ("perplexity_reference_standard_error", .double(reference.standardError)),
      ("perplexity_quantized", .double(quantized.perplexity)),
      ("perplexity_quantized_standard_error", .double(quantized.standardError)),
      ("ln_ratio", .double(logRatio)), ("ln_ratio_standard_error", .double(logRatioStandardError)),
      ("ln_ratio_bootstrap", bootstrap?.logRatio.json ?? .null), ("correlation", .double(correlation)),
      (
        "kld",
        .object(
          [
            ("mean", .double(meanDivergence)), ("standard_error", .double(meanDivergenceStandardError)),
            ("bootstrap", bootstrap?.meanDivergence.json ?? .null),
          ]
            + divergences.map { ($0.key, .double($1)) })
      ),
      ("top1_agreement", .double(topOneAgreement)), ("top1_standard_error", .double(topOneStandardError)),
      (
        "delta_p",
        .object(
          [
            ("mean", .double(meanProbabilityChange)), ("standard_error", .double(meanProbabilityChangeStandardError)),
            ("rms", .double(rmsProbabilityChange)),
            ("rms_standard_error", .double(rmsProbabilityChangeStandardError)),
          ] + changes.map { ($0.key, .double($1)) })
      ),
    ]
  }
}

extension BootstrapEstimate {
  fileprivate var json: JSONText {
    .object([("standard_error", .double(standardError)), ("low", .double(low)), ("high", .double(high))])
  }
}

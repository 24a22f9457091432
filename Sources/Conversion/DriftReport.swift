public import Bytes
public import Tensors

import Models

/// What `quern verify` says of a model.
public struct DriftReport: Sendable {
  public struct TensorRow: Sendable {
    public var name: String
    public var type: DType
    /// ‖w′ − w‖ / ‖w‖; `nil` for a tensor that the reference has not.
    public var relativeRMSError: Double?
  }

  let drift: Drift
  let layers: [StateDifference]
  public let tensors: [TensorRow]
  public let chunks: Int
  public let context: Int
  public let fileBytes: Int
  public let bitsPerWeight: Double
  public let gates: [Gates.Result]
  /// What a reader must know of the numbers, a sentence each.
  public var notes: [String] = []

  public var passed: Bool { gates.allSatisfy(\.passed) }
  public var failure: GateFailure? { passed ? nil : GateFailure(failed: gates.filter { !$0.passed }) }

  private var percentiles: (median: Double, p90: Double, p99: Double, p999: Double, max: Double) {
    let values = drift.divergencePercentiles([0.5, 0.9, 0.99, 0.999, 1])
    return (values[0], values[1], values[2], values[3], values[4])
  }

  public var json: JSONText {
    let kld = percentiles
    return .object([
      ("perplexity_reference", .double(drift.reference.perplexity)),
      ("perplexity_reference_standard_error", .double(drift.reference.standardError)),
      ("perplexity_quantized", .double(drift.quantized.perplexity)),
      ("perplexity_quantized_standard_error", .double(drift.quantized.standardError)),
      ("ln_ratio", .double(drift.logRatio)), ("ln_ratio_standard_error", .double(drift.logRatioStandardError)),
      (
        "kld",
        .object([
          ("mean", .double(drift.meanDivergence)), ("standard_error", .double(drift.meanDivergenceStandardError)),
          ("median", .double(kld.median)), ("p90", .double(kld.p90)), ("p99", .double(kld.p99)),
          ("p999", .double(kld.p999)), ("max", .double(kld.max)),
        ])
      ),
      ("top1_agreement", .double(drift.topOneAgreement)), ("top1_standard_error", .double(drift.topOneStandardError)),
      (
        "delta_p",
        .object([("mean", .double(drift.meanProbabilityChange)), ("rms", .double(drift.rmsProbabilityChange))])
      ),
      (
        "layers",
        .array(
          layers.enumerated().map { layer, state in
            .object([
              ("layer", .int(layer)), ("relative_rms_error", .double(state.relativeRMSError)),
              ("cosine", .double(state.cosine)),
            ])
          })
      ),
      (
        "tensors",
        .array(
          tensors.map { row in
            .object([
              ("name", .string(row.name)), ("type", .string(row.type.name)),
              ("bits_per_weight", .double(row.type.bitsPerElement)),
              ("relative_rms_error", row.relativeRMSError.map { .double($0) } ?? .null),
            ])
          })
      ),
      ("bits_per_weight", .double(bitsPerWeight)), ("file_bytes", .int(fileBytes)),
      ("tokens_scored", .int(drift.count)), ("chunks", .int(chunks)), ("context", .int(context)),
      (
        "gates",
        .array(
          gates.map { gate in
            .object([
              ("name", .string(gate.name)), ("limit", .double(gate.limit)), ("value", .double(gate.value)),
              ("passed", .bool(gate.passed)),
            ])
          })
      ),
      ("notes", .array(notes.map { .string($0) })), ("passed", .bool(passed)),
    ])
  }

  /// For a person.
  public var text: String {
    let kld = percentiles
    let ratio = drift.quantized.perplexity / drift.reference.perplexity
    var lines = [
      "\(drift.count) tokens in \(chunks) chunks of \(context); \(megabytes(fileBytes)), "
        + "\(decimals(bitsPerWeight, 2)) bits a weight",
      "",
      "perplexity of the reference  \(decimals(drift.reference.perplexity, 4)) ± \(decimals(drift.reference.standardError, 4))",
      "perplexity of this model     \(decimals(drift.quantized.perplexity, 4)) ± \(decimals(drift.quantized.standardError, 4))",
      "ratio                        \(decimals(ratio, 5)), ln \(decimals(drift.logRatio, 5)) ± \(decimals(drift.logRatioStandardError, 5))",
      "mean KL divergence           \(decimals(drift.meanDivergence, 6)) ± \(decimals(drift.meanDivergenceStandardError, 6))",
      "  median, 90, 99, 99.9 %     \([kld.median, kld.p90, kld.p99, kld.p999].map { decimals($0, 6) }.joined(separator: "  "))",
      "  maximum                    \(decimals(kld.max, 6))",
      "same token first             \(decimals(drift.topOneAgreement * 100, 2)) % ± \(decimals(drift.topOneStandardError * 100, 2))",
      "change of probability, rms   \(decimals(drift.rmsProbabilityChange * 100, 3)) %",
    ]
    if !layers.isEmpty { lines += ["", "layer  relative error of the hidden state"] }
    for (layer, state) in layers.enumerated() {
      let number = String(repeating: " ", count: max(0, 5 - "\(layer)".count)) + "\(layer)"
      lines.append("\(number)  \(decimals(state.relativeRMSError, 5))")
    }
    lines += notes.map { "note: \($0)" }
    for gate in gates {
      let verdict = gate.passed ? "passed" : "FAILED"
      lines.append("gate \(gate.name): \(decimals(gate.value, 6)), limit \(decimals(gate.limit, 6)): \(verdict)")
    }
    return lines.joined(separator: "\n")
  }
}

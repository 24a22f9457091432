import Bytes
import Models

extension DriftReport {
  /// For a person.
  public var summary: String {
    let head =
      "\(text.tokensScored) tokens of \(text.name) in \(text.chunks) chunks of \(text.context), against \(reference.name)"
    return ([head] + candidates.map(\.summary) + remarks.map { "note: \($0)" }).joined(separator: "\n\n")
  }
}

extension DriftReport.Candidate {
  fileprivate var summary: String {
    let kld = drift.divergencePercentiles([0.5, 0.9, 0.99, 0.999, 1])
    let ratio = drift.quantized.perplexity / drift.reference.perplexity
    var lines = [
      "\(name): \(fileType), \(megabytes(fileBytes)), \(decimals(bitsPerWeight, 2)) bits a weight",
      "perplexity of the reference  \(decimals(drift.reference.perplexity, 4)) ± \(decimals(drift.reference.standardError, 4))",
      "perplexity of this model     \(decimals(drift.quantized.perplexity, 4)) ± \(decimals(drift.quantized.standardError, 4))",
      "ratio                        \(decimals(ratio, 5)), ln \(decimals(drift.logRatio, 5)) ± \(decimals(drift.logRatioStandardError, 5))",
      "mean KL divergence           \(decimals(drift.meanDivergence, 6)) ± \(decimals(drift.meanDivergenceStandardError, 6))",
      "  median, 90, 99, 99.9 %     \(kld[0..<4].map { decimals($0, 6) }.joined(separator: "  "))",
      "  maximum                    \(decimals(kld[4], 6))",
      "same token first             \(decimals(drift.topOneAgreement * 100, 2)) % ± \(decimals(drift.topOneStandardError * 100, 2))",
      "change of probability, rms   \(decimals(drift.rmsProbabilityChange * 100, 3)) % ± \(decimals(drift.rmsProbabilityChangeStandardError * 100, 3))",
    ]
    for difference in differences {
      lines.append("\(difference.key) is \(difference.candidate), \(difference.reference) in the reference")
    }
    if !layers.isEmpty { lines += ["", "layer  relative error of the hidden state  added by the layer"] }
    for row in layers {
      let number = padded("\(row.layer)", 5)
      lines.append("\(number)  \(padded(decimals(row.relativeRMSError, 5), 34))  \(padded(decimals(row.added, 5), 18))")
    }
    if !pointers.isEmpty { lines += ["", "where to look", "  " + pointers.joined(separator: "\n  ")] }
    for token in worst.prefix(3) {
      let (before, came) = (printable(token.before), printable(token.token))
      lines.append(
        "  chunk \(token.chunk), token \(token.position), divergence \(decimals(token.divergence, 4)): …\(before) → \(came)"
      )
      lines.append(
        "    it expected \(printable(token.candidateChoice)), the reference \(printable(token.referenceChoice)); "
          + "p of what came \(decimals(token.candidateProbability, 4)), \(decimals(token.referenceProbability, 4))")
    }
    for gate in gates {
      let verdict = gate.passed ? "passed" : "FAILED"
      lines.append("gate \(gate.name): \(Figures.plain(gate.value)), limit \(Figures.plain(gate.limit)): \(verdict)")
    }
    return lines.joined(separator: "\n")
  }

  /// What adds most to the error.
  private var pointers: [String] {
    var lines: [String] = []
    if let row = largestLayer { lines.append("layer \(row.layer) adds most: \(decimals(row.added, 5))") }
    if let row = largestTensor, let error = row.relativeRMSError {
      lines.append("\(printable(row.name)) (\(row.type)) is farthest from its source: \(decimals(error, 5))")
    }
    let attributed = tensors.filter { $0.attributedDivergence != nil }
      .sorted { $0.attributedDivergence! > $1.attributedDivergence! }
    for row in attributed.prefix(5) {
      let value = decimals(row.attributedDivergence ?? 0, 6)
      lines.append("\(printable(row.name)) (\(row.type)) alone causes a divergence of \(value)")
    }
    return lines
  }

  private func padded(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
  }
}

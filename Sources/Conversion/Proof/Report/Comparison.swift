import Models

/// The columns by which people who make and use quantized models compare them, as text: the same in HTML and in Markdown.
struct Comparison {
  struct Column: Sendable {
    var name: String
    /// Empty where there is none.
    var unit: String
  }

  struct Row: Sendable {
    /// The file's.
    var name: String
    var type: String
    /// As many as there are columns; `nil` where it would say nothing.
    var values: [Value?]
  }

  struct Value: Sendable {
    var value: String
    /// One standard error, where there is one.
    var error: String?

    var text: String { error.map { "\(value) ± \($0)" } ?? value }

    fileprivate init(_ value: String) { self.value = value }
    fileprivate init(_ value: Double, _ error: Double) { (self.value, self.error) = Figures.measured(value, error) }
  }

  static let columns = [
    Column(name: "size", unit: ""), Column(name: "bpw", unit: "bits"), Column(name: "PPL ±", unit: ""),
    Column(name: "ΔPPL ±", unit: ""), Column(name: "KLD ±", unit: "nats"), Column(name: "mean Δp ±", unit: "%"),
    Column(name: "RMS Δp ±", unit: "%"), Column(name: "same top p ±", unit: "%"),
  ]

  let reference: Row
  let candidates: [Row]

  init(_ report: DriftReport) {
    let first = report.candidates[0].drift.reference
    reference = Row(
      name: report.reference.name, type: "reference",
      values: [
        Value(megabytes(report.reference.fileBytes)), Value(Figures.signed(report.reference.bitsPerWeight, 2)),
        Value(first.perplexity, first.standardError), nil, nil, nil, nil, nil,
      ])
    candidates = report.candidates.map { candidate in
      let drift = candidate.drift
      let change = drift.perplexityChange
      return Row(
        name: candidate.name, type: candidate.fileType,
        values: [
          Value(megabytes(candidate.fileBytes)), Value(Figures.signed(candidate.bitsPerWeight, 2)),
          Value(drift.quantized.perplexity, drift.quantized.standardError),
          Value(change.value, change.standardError),
          Value(drift.meanDivergence, drift.meanDivergenceStandardError),
          Value(drift.meanProbabilityChange * 100, drift.meanProbabilityChangeStandardError * 100),
          Value(drift.rmsProbabilityChange * 100, drift.rmsProbabilityChangeStandardError * 100),
          Value(drift.topOneAgreement * 100, drift.topOneStandardError * 100),
        ])
    }
  }

  /// How the numbers came about, and what a reader must know of them.
  static func method(_ report: DriftReport) -> String {
    let text = report.text
    return
      "\(Figures.count(text.tokensScored)) tokens of \(text.name) scored in \(Figures.count(text.chunks)) chunks of "
      + "\(Figures.count(text.context)), the second half of each, as llama-perplexity does. \(report.candidates.count == 1 ? "Both" : "All") models are computed in "
      + "\(report.arithmetic) and compared before anything is rounded. ± is one standard error."
      + report.remarks.map { " Note: \($0)." }.joined()
  }

  func add(to page: inout Markup, linking: Bool) {
    page.scrolling("Comparison") { box in
      box.element("table") { table in
        table.element("thead") { head in
          head.element("tr") { row in
            row.element("th", ["scope": "col", "class": "left"], "model")
            for column in Comparison.columns {
              row.element("th", ["scope": "col"]) {
                $0.text(column.name)
                if !column.unit.isEmpty { $0.element("span", ["class": "within"], column.unit) }
              }
            }
          }
        }
        table.element("tbody") { body in
          add(reference, "base", link: nil, to: &body)
          for (index, row) in candidates.enumerated() {
            add(row, "", link: linking ? "#model-\(index + 1)" : nil, to: &body)
          }
        }
      }
    }
  }

  private func add(_ row: Row, _ style: String, link: String?, to body: inout Markup) {
    body.element("tr", ["class": style]) { line in
      line.element("th", ["scope": "row", "class": "left"]) { head in
        if let link { head.element("a", ["href": link], row.name) } else { head.text(row.name) }
        head.element("span", ["class": "within"], row.type)
      }
      for value in row.values { add(value, to: &line) }
    }
  }
}

extension Comparison {
  private func add(_ value: Value?, to line: inout Markup) {
    line.element("td") { cell in
      cell.text(value?.value ?? "–")
      if let error = value?.error { cell.element("span", ["class": "within"], "± " + error) }
    }
  }
}

extension Drift {
  /// Perplexity of the model less that of the reference, and its standard error: the two are taken over the same tokens,
  /// so that what both find hard cancels.
  var perplexityChange: (value: Double, standardError: Double) {
    let (p, q) = (reference.perplexity, quantized.perplexity)
    let (a, b) = (reference.standardError / p, quantized.standardError / q)
    let covariance = (a * a + b * b - logRatioStandardError * logRatioStandardError) / 2
    let variance = p * p * a * a + q * q * b * b - 2 * p * q * covariance
    return (q - p, variance > 0 ? variance.squareRoot() : 0)
  }
}

import Bytes
import Models

/// The top of a report: the verdict, the figures that people compare models by, and the gates.
struct ReportSummary {
  let report: DriftReport

  enum Verdict: String {
    case passed, failed, measured
  }

  static func verdict(of candidate: DriftReport.Candidate) -> Verdict {
    !candidate.passed ? .failed : candidate.gates.isEmpty ? .measured : .passed
  }

  var verdict: Verdict {
    let all = report.candidates.map(ReportSummary.verdict)
    return all.contains(.failed) ? .failed : all.contains(.measured) ? .measured : .passed
  }

  // MARK: Verdict

  func addVerdict(to page: inout Markup) {
    page.element("div", ["class": "verdict \(verdict.rawValue)"]) { box in
      box.element("svg", ["viewBox": "0 0 24 24", "aria-hidden": "true"]) { mark in
        mark.empty("circle", ["cx": "12", "cy": "12", "r": "12"])
        switch verdict {
        case .passed: mark.empty("path", ["d": "M6.5 12.5 L10.3 16.2 L17.5 8.5"])
        case .failed: mark.empty("path", ["d": "M8 8 L16 16 M16 8 L8 16"])
        case .measured: mark.empty("path", ["d": "M7.5 12 L16.5 12"])
        }
      }
      box.element("div") { words in
        words.element("p", ["class": "word"], word)
        for line in reasons { words.element("p", line) }
      }
    }
  }

  private var word: String {
    switch verdict {
    case .passed: return "Passed"
    case .measured: return "Measured without gates"
    case .failed:
      let failed = report.candidates.filter { !$0.passed }.count
      return report.candidates.count == 1 ? "Failed" : "\(failed) of \(report.candidates.count) failed"
    }
  }

  /// More than so many are a table's matter.
  private static let mostReasons = 6

  private var reasons: [String] {
    var lines: [String]
    switch verdict {
    case .passed:
      let gates = report.candidates[0].gates.count
      let hold = gates == 1 ? "The one gate holds" : gates == 2 ? "Both gates hold" : "All \(gates) gates hold"
      lines = [hold + (report.candidates.count > 1 ? " for each model." : ".")]
    case .measured: lines = ["No limit was set, so nothing was judged."]
    case .failed:
      lines = report.candidates.flatMap { candidate in
        candidate.gates.filter { !$0.passed }.map { gate in
          whose(candidate) + "\(gate.name) is \(Figures.significant(gate.value, 4)) where the limit is "
            + "\(Figures.plain(gate.limit))."
        }
      }
    }
    for candidate in report.candidates where !candidate.differences.isEmpty {
      let keys = candidate.differences.prefix(3).map { printable($0.key, limit: 60) }.joined(separator: ", ")
      let more = candidate.differences.count > 3 ? " and \(candidate.differences.count - 3) more" : ""
      lines.append(whose(candidate) + "not the reference’s parameters: \(keys)\(more).")
    }
    guard lines.count > ReportSummary.mostReasons else { return lines }
    return lines.prefix(ReportSummary.mostReasons - 1)
      + ["And \(lines.count - ReportSummary.mostReasons + 1) more, below."]
  }

  private func whose(_ candidate: DriftReport.Candidate) -> String {
    report.candidates.count > 1 ? "\(candidate.name): " : ""
  }

  // MARK: Tiles

  /// The four figures of one candidate that say most.
  func addTiles(to page: inout Markup) {
    let (candidate, drift) = (report.candidates[0], report.candidates[0].drift)
    let tiles: [(name: String, value: String, unit: String, below: String)] = [
      (
        "Size", megabytes(candidate.fileBytes), "",
        "\(Figures.signed(candidate.bitsPerWeight, 2)) bits a weight, "
          + "\(Figures.percent(Double(candidate.fileBytes) / Double(max(1, report.reference.fileBytes)), 0)) of the reference"
      ),
      (
        "Mean KL divergence", Figures.measured(drift.meanDivergence, drift.meanDivergenceStandardError).value, "nats",
        plusMinus(drift.meanDivergence, drift.meanDivergenceStandardError)
      ),
      (
        "Same token first",
        Figures.measured(drift.topOneAgreement * 100, drift.topOneStandardError * 100).value, "%",
        plusMinus(drift.topOneAgreement * 100, drift.topOneStandardError * 100)
      ),
      (
        "Perplexity", Figures.measured(drift.quantized.perplexity, drift.quantized.standardError).value, "",
        "from \(Figures.measured(drift.reference.perplexity, drift.reference.standardError).value), "
          + "× \(Figures.signed(drift.quantized.perplexity / drift.reference.perplexity, 4))"
      ),
    ]
    page.element("dl", ["class": "tiles"]) { list in
      for tile in tiles {
        list.element("div") { box in
          box.element("dt", tile.name)
          box.element("dd", ["class": "large number"]) {
            $0.text(tile.value)
            if !tile.unit.isEmpty { $0.element("span", ["class": "unit"], " " + tile.unit) }
          }
          box.element("dd", ["class": "soft small"], tile.below)
        }
      }
    }
  }

  private func plusMinus(_ value: Double, _ error: Double) -> String {
    Figures.measured(value, error).error.map { "± \($0)" } ?? "no standard error"
  }
}

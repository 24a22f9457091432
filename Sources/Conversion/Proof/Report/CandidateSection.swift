import Bytes
import Models

/// All that is known of one candidate: how its divergence is spread, where it arises, at which tokens it is worst.
struct CandidateSection {
  let report: DriftReport
  let candidate: DriftReport.Candidate
  /// From 1.
  let number: Int

  private var id: String { "model-\(number)" }

  func add(to main: inout Markup) {
    main.element("section", ["id": id]) { section in
      if report.candidates.count > 1 {
        section.element("h2", candidate.name)
        addLine(to: &section)
      } else {
        section.element("h2", "Where it drifts")
      }
      addDifferences(to: &section)
      addPercentiles(to: &section)
      section.element("div", ["class": "charts"]) { charts in
        addDivergence(to: &charts)
        addLayers(to: &charts)
      }
      addHeat(to: &section)
      addWorst(to: &section)
      section.element("section") { inner in
        inner.element("h3", "Its file")
        Provenance.add(Provenance.facts(of: candidate), to: &inner)
      }
    }
  }

  private func addLine(to section: inout Markup) {
    let verdict = ReportSummary.verdict(of: candidate)
    section.element("p") { line in
      line.element("span", ["class": "tag \(verdict.rawValue)"], verdict == .measured ? "no gates" : verdict.rawValue)
      line.text(
        " · \(candidate.fileType) · \(megabytes(candidate.fileBytes)) · "
          + "\(Figures.signed(candidate.bitsPerWeight, 2)) bits a weight")
    }
  }

  private func addDifferences(to section: inout Markup) {
    guard !candidate.differences.isEmpty else { return }
    section.element("h3", "Parameters that differ")
    section.element("p", ["class": "soft small"], "No quantizing changes them: one of the two conversions is wrong.")
    let label = "Parameters that differ"
    section.scrolling(label) { box in
      box.element("table", ["class": "compact"]) { table in
        table.element("thead") { head in
          head.element("tr") { row in
            for name in ["key", "reference", "this model"] {
              row.element("th", ["scope": "col", "class": "left"], name)
            }
          }
        }
        table.element("tbody") { body in
          for difference in candidate.differences {
            body.element("tr") { row in
              row.element("th", ["scope": "row", "class": "left"], printable(difference.key))
              row.element("td", ["class": "left wrap"], printable(difference.reference))
              row.element("td", ["class": "left wrap"], printable(difference.candidate))
            }
          }
        }
      }
    }
  }

  private func addPercentiles(to section: inout Markup) {
    let drift = candidate.drift
    let values = drift.divergencePercentiles([0.5, 0.9, 0.95, 0.99, 0.999, 1])
    let names = ["mean", "median", "90 %", "95 %", "99 %", "99.9 %", "maximum"]
    let label = "Percentiles of the divergence"
    section.scrolling(label) { box in
      box.element("table") { table in
        table.element("thead") { head in
          head.element("tr") { row in
            row.element("td", "")
            for name in names { row.element("th", ["scope": "col"], name) }
          }
        }
        table.element("tbody") { body in
          body.element("tr") { row in
            row.element("th", ["scope": "row", "class": "left"], "KL divergence, nats")
            for value in [drift.meanDivergence] + values { row.element("td", Figures.significant(value, 3)) }
          }
        }
      }
    }
  }

  // MARK: Charts

  private func addDivergence(to charts: inout Markup) {
    let percentiles = { (drift: Drift) in drift.divergencePercentiles([0.001, 0.5, 0.99, 1]) }
    let all = report.candidates.map { percentiles($0.drift) }
    let domain = all.flatMap { [max($0[0], $0[3] * 1e-5), $0[3]] }.filter { $0 > 0 }
    let histograms = report.candidates.map { DivergenceHistogram(of: $0.drift, domain: domain) }
    guard !domain.isEmpty else { return }
    let own = histograms[number - 1]
    let values = percentiles(candidate.drift)
    charts.element("figure") { figure in
      figure.element("figcaption") {
        $0.element("h3", "How far single tokens diverge")
        $0.element("span", ["class": "small"], "Share of the tokens by their divergence, on a logarithmic axis.")
      }
      DivergenceChart(
        bins: own.bins, zeros: own.zeros,
        guides: [("median", values[1]), ("mean", candidate.drift.meanDivergence), ("99 %", values[2])],
        domain: domain, greatestShare: histograms.map(\.greatestShare).max() ?? 1
      ).add(to: &figure, id: "\(id)-divergence")
    }
  }

  private func addLayers(to charts: inout Markup) {
    guard !candidate.layers.isEmpty else { return }
    let domain = candidate.layers.flatMap { [$0.relativeRMSError, $0.added] }
    charts.element("figure") { figure in
      figure.element("figcaption") {
        $0.element("h3", "Drift by layer")
        $0.element("span", ["class": "small keys"]) {
          $0.element("span") {
            $0.element("span", ["class": "key stroke"], ""); $0.text("error of the hidden state")
          }
          $0.element("span") {
            $0.element("span", ["class": "key"], ""); $0.text("what the layer added itself")
          }
        }
      }
      LayerChart(
        layers: candidate.layers.map {
          LayerChart.Layer(layer: $0.layer, error: $0.relativeRMSError, added: $0.added)
        }, domain: domain
      ).add(to: &figure, id: "\(id)-layers")
    }
  }

  // MARK: Tensors

  private func addHeat(to section: inout Markup) {
    let errors = heat { $0.relativeRMSError }
    addMap(
      errors, "Error of the weights",
      "Relative RMS error of each tensor, with its type. "
        + "Tensors that are as they were are not drawn: \(errors.exact) of \(candidate.tensors.count).",
      to: &section)
    guard candidate.tensors.contains(where: { $0.attributedDivergence != nil }) else { return }
    let all = report.candidates.flatMap { $0.tensors.compactMap(\.attributedDivergence) }.filter {
      $0.isFinite && $0 > 0
    }
    addMap(
      HeatMap(cells: cells { $0.attributedDivergence }, range: ((all.max() ?? 0) / 256, all.max() ?? 0)) {
        Figures.significant($0, 2)
      }, "What each tensor costs",
      "Mean KL divergence, in nats, when this tensor alone is quantized.", to: &section)
  }

  private func addMap(_ map: HeatMap, _ title: String, _ text: String, to section: inout Markup) {
    section.element("section") { inner in
      inner.element("h3", title)
      inner.element("p", ["class": "soft small"], text)
      fold("Show the layers", in: &inner) { map.add(to: &$0, caption: "\(title), \(candidate.name)") }
    }
  }

  /// Where there are several models, what is long waits to be opened.
  private func fold(_ title: String, in section: inout Markup, _ body: (inout Markup) -> Void) {
    guard report.candidates.count > 1 else { return body(&section) }
    section.element("details") { details in
      details.element("summary", title)
      body(&details)
    }
  }

  private func heat(_ value: (DriftReport.TensorRow) -> Double?) -> HeatMap {
    HeatMap(cells: cells(value), range: (1.0 / 400, 0.64)) { Figures.percent($0, $0 < 0.001 ? 3 : $0 < 0.1 ? 2 : 1) }
  }

  private func cells(_ value: (DriftReport.TensorRow) -> Double?) -> [HeatMap.Cell] {
    candidate.tensors.map {
      HeatMap.Cell(name: $0.name, type: $0.type.name, bitsPerWeight: $0.bitsPerWeight, value: value($0))
    }
  }

  // MARK: Tokens

  private func addWorst(to section: inout Markup) {
    guard !candidate.worst.isEmpty else { return }
    section.element("section") { inner in
      inner.element("h3", "Worst tokens")
      inner.element(
        "p", ["class": "soft small"],
        "Where the two predictions differ most. Marked is the token that came; beside it which token each model "
          + "found likeliest, and the probability that it gave to the one that came.")
      fold("Show the \(candidate.worst.count) tokens", in: &inner) {
        WorstTokens(tokens: candidate.worst).add(to: &$0)
      }
    }
  }
}

import Bytes
import Models

extension DriftReport {
  /// The report as one page that needs nothing but itself: no script, no font, no picture from elsewhere. The same report
  /// gives the same bytes; files are named without their folders.
  package var html: String {
    Markup.page(title: heading, version: version) { body in
      body.element("header", ["class": "top"]) { top in top.element("div") { addTop(to: &$0) } }
      body.element("main") { main in
        addComparison(to: &main)
        GateTable(candidates: candidates).add(to: &main)
        for (index, candidate) in candidates.enumerated() {
          CandidateSection(report: self, candidate: candidate, number: index + 1).add(to: &main)
        }
        addProvenance(to: &main)
        Glossary.add(to: &main)
      }
      body.element("footer") { foot in
        foot.element("div", "Made by quern \(version). This page holds all it shows and loads nothing.")
      }
    }
  }

  private var heading: String {
    candidates.count == 1
      ? "\(candidates[0].name) against \(reference.name)" : "\(candidates.count) models against \(reference.name)"
  }

  private func addTop(to top: inout Markup) {
    let summary = ReportSummary(report: self)
    top.element("p", ["class": "kind"], "quern verify · drift from full precision")
    top.element("h1", heading)
    summary.addVerdict(to: &top)
    if candidates.count == 1 { summary.addTiles(to: &top) }
  }

  private func addComparison(to main: inout Markup) {
    main.element("section", ["id": "comparison"]) { section in
      section.element("h2", candidates.count == 1 ? "What it cost" : "What each cost")
      section.element("p", ["class": "soft"], Comparison.method(self))
      Comparison(self).add(to: &section, linking: candidates.count > 1)
      guard candidates.count > 1 else { return }
      section.element("div", ["class": "charts"]) { charts in
        charts.element("figure") { figure in
          figure.element("figcaption") {
            $0.element("h3", "Size against divergence")
            $0.element(
              "span", ["class": "small"], "Lower left is better. The dashed line joins what nothing else beats in both."
            )
          }
          FrontierChart(
            points: candidates.map {
              FrontierChart.Point(
                label: label(of: $0), bytes: $0.fileBytes, divergence: $0.drift.meanDivergence, passed: $0.passed)
            }
          ).add(to: &figure, id: "frontier")
        }
        guard candidates.contains(where: { $0.layers.contains { $0.relativeRMSError > 0 } }) else { return }
        charts.element("figure") { figure in
          figure.element("figcaption") {
            $0.element("h3", "Drift by layer")
            $0.element("span", ["class": "small"], "Relative error of the hidden state after each layer.")
          }
          LayerComparison(
            models: candidates.map { (printable(label(of: $0), limit: 9), $0.layers.map(\.relativeRMSError)) }
          ).add(to: &figure, id: "layers")
        }
      }
    }
  }

  /// The type, or the file's name where two have the same.
  private func label(of candidate: Candidate) -> String {
    let alike = candidates.filter { $0.fileType == candidate.fileType }.count
    return printable(alike == 1 ? candidate.fileType : candidate.name, limit: 24)
  }

  private func addProvenance(to main: inout Markup) {
    main.element("section", ["id": "provenance"]) { section in
      section.element("h2", "What was compared")
      Provenance.add(Provenance.facts(of: self), to: &section)
    }
  }
}

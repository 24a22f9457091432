/// What the gates said: of one model a gate in a row, of several a model in a row.
struct GateTable {
  let candidates: [DriftReport.Candidate]

  func add(to page: inout Markup) {
    guard candidates.contains(where: { !$0.gates.isEmpty }) else { return }
    page.element("section", ["id": "gates"]) { section in
      section.element("h2", "Gates")
      section.scrolling("Gates") { box in
        box.element("table", ["class": "compact"]) { table in
          if candidates.count == 1 { addList(to: &table) } else { addMatrix(to: &table) }
        }
      }
    }
  }

  private func addList(to table: inout Markup) {
    table.element("thead") { head in
      head.element("tr") { row in
        row.element("th", ["scope": "col", "class": "left"], "gate")
        for name in ["value", "limit", "verdict"] { row.element("th", ["scope": "col"], name) }
      }
    }
    table.element("tbody") { body in
      for gate in candidates[0].gates {
        body.element("tr") { row in
          row.element("th", ["scope": "row", "class": "left"], gate.name)
          row.element("td", Figures.significant(gate.value, 4))
          row.element("td", Figures.plain(gate.limit))
          row.element("td", ["class": "tag " + GateTable.verdict(gate)], GateTable.verdict(gate))
        }
      }
    }
  }

  /// The same gates are put to every model.
  private func addMatrix(to table: inout Markup) {
    table.element("thead") { head in
      head.element("tr") { row in
        row.element("th", ["scope": "col", "class": "left"], "model")
        for gate in candidates[0].gates {
          row.element("th", ["scope": "col"]) {
            $0.text(gate.name)
            $0.element("span", ["class": "within"], "limit \(Figures.plain(gate.limit))")
          }
        }
      }
    }
    table.element("tbody") { body in
      for candidate in candidates {
        body.element("tr") { row in
          row.element("th", ["scope": "row", "class": "left"], candidate.name)
          for gate in candidate.gates {
            row.element("td") {
              $0.text(Figures.significant(gate.value, 4))
              $0.element("span", ["class": "within tag " + GateTable.verdict(gate)], GateTable.verdict(gate))
            }
          }
        }
      }
    }
  }

  private static func verdict(_ gate: Gates.Result) -> String { gate.passed ? "passed" : "failed" }
}

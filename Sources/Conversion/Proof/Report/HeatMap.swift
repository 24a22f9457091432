/// A number of every tensor, layers down and kinds of tensors across: a table whose colours say where the loss sits.
struct HeatMap {
  struct Cell: Sendable {
    /// The tensor's name in GGUF, such as `blk.3.ffn_down.weight`.
    var name: String
    var type: String
    var bitsPerWeight: Double
    /// `nil` where there is none.
    var value: Double?
  }

  let cells: [Cell]
  /// What the least and the greatest colour stand for; beyond it the colour does not change.
  let range: (least: Double, most: Double)
  /// Writes the number in a cell and in the legend.
  let label: @Sendable (Double) -> String

  /// Which row and column a name belongs to; `layer` is `nil` of what stands outside the layers.
  static func place(of name: String) -> (layer: Int?, kind: String) {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    let kind = parts.last == "weight" ? parts.dropLast() : parts[...]
    if parts.count > 2, parts[0] == "blk", let layer = Int(parts[1]), layer >= 0, String(layer) == parts[1] {
      return (layer, kind.dropFirst(2).joined(separator: "."))
    }
    return (nil, kind.joined(separator: "."))
  }

  /// Kinds in the order in which the first layer that has them uses them; kinds without any loss are left out.
  private var columns: [String] {
    let order = [
      "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate_inp", "ffn_gate", "ffn_up", "ffn_down", "ffn_gate_exps",
      "ffn_up_exps", "ffn_down_exps",
    ]
    var seen: [String] = []
    for cell in cells where (cell.value ?? 0) != 0 {
      let place = HeatMap.place(of: cell.name)
      if place.layer != nil, !seen.contains(place.kind) { seen.append(place.kind) }
    }
    return order.filter(seen.contains) + seen.filter { !order.contains($0) }
  }

  /// How many tensors are as they were.
  var exact: Int { cells.filter { $0.value == 0 }.count }

  /// The step of the colours, by the logarithm between the least and the greatest value.
  private func step(_ value: Double) -> Int {
    guard range.least > 0, range.most > range.least else { return 0 }
    guard value.isFinite else { return ReportStyle.heatSteps - 1 }
    let scale = Scale(
      logarithmicBetween: range.least, range.most, from: 0, to: Double(ReportStyle.heatSteps))
    return min(ReportStyle.heatSteps - 1, Int(scale.place(value)))
  }

  func add(to page: inout Markup, caption: String) {
    let columns = columns
    var byPlace: [Int: [String: Cell]] = [:]
    var outside: [Cell] = []
    for cell in cells {
      let place = HeatMap.place(of: cell.name)
      if let layer = place.layer {
        byPlace[layer, default: [:]][place.kind] = cell
      } else if (cell.value ?? 0) != 0 {
        outside.append(cell)
      }
    }
    page.scrolling(caption) { box in
      if !outside.isEmpty {
        box.element("table", ["class": "heat"]) { table in
          table.element("tbody") { body in
            body.element("tr") { row in
              row.element("th", ["scope": "row"], "outside the layers")
              for cell in outside { add(cell, named: HeatMap.place(of: cell.name).kind, to: &row) }
            }
          }
        }
      }
      guard !columns.isEmpty else { return }
      box.element("table", ["class": "heat"]) { table in
        table.element("thead") { head in
          head.element("tr") { row in
            row.element("th", ["scope": "col"], "layer")
            for column in columns { row.element("th", ["scope": "col"], column) }
          }
        }
        table.element("tbody") { body in
          for layer in byPlace.keys.sorted() {
            body.element("tr") { row in
              row.element("th", ["scope": "row"], "\(layer)")
              for column in columns { add(byPlace[layer]?[column], to: &row) }
            }
          }
        }
      }
    }
    addLegend(to: &page)
  }

  private func add(_ cell: Cell?, named name: String? = nil, to row: inout Markup) {
    guard let cell else { return row.element("td", ["class": "none"], "") }
    let value = cell.value.map(label) ?? "not measured"
    let style = cell.value.map { $0 == 0 ? "none" : "h\(step($0))" } ?? "none"
    row.element(
      "td",
      [
        "class": style,
        "title": "\(cell.name): \(cell.type), \(Figures.signed(cell.bitsPerWeight, 2)) bits a weight, \(value)",
      ]
    ) {
      if let name { $0.element("span", ["class": "within"], name) }
      $0.element("span", ["class": "type"], cell.type)
      $0.text(" " + (cell.value == nil ? "–" : value))
    }
  }

  private func addLegend(to page: inout Markup) {
    guard range.least > 0 else { return }
    page.element("p", ["class": "legend"]) { legend in
      legend.element("span", ["class": "number"], label(range.least))
      legend.element("span", ["class": "cells", "aria-hidden": "true"]) { cells in
        for step in 0..<ReportStyle.heatSteps { cells.element("i", ["class": "h\(step)"], "") }
      }
      legend.element("span", ["class": "number"], label(range.most))
      legend.element("span", "on a logarithmic scale")
    }
  }
}

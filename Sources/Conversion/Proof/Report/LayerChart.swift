/// How the error grows from layer to layer: a line of what has gathered, bars of what each layer brought in itself.
struct LayerChart {
  struct Layer: Sendable {
    var layer: Int
    /// Relative RMS error of the hidden state after the layer.
    var error: Double
    /// What the layer itself added; `nil` where it was not measured.
    var added: Double?
  }

  let layers: [Layer]
  /// What the axis must hold.
  let domain: [Double]

  func add(to page: inout Markup, id: String) {
    let up = Scale(linear: domain, from: Chart.bottom, to: Chart.top)
    let step = (Chart.right - Chart.left - 8) / Double(max(layers.count, 1))
    let middle = { (index: Int) in Chart.left + 4 + (Double(index) + 0.5) * step }
    let most = layers.filter { $0.added?.isFinite == true }.max { $0.added! < $1.added! }
    Chart.add(
      to: &page, id: id, title: "Relative error of the hidden state after each layer",
      description: "After the last layer \(layers.last.map { Figures.percent($0.error, 2) } ?? "nothing")"
        + (most.map { "; layer \($0.layer) adds most" } ?? "")
    ) { drawing in
      let places = up.upper < 0.04 ? 1 : 0
      Chart.addRules(up, to: &drawing, unit: "relative error") { Figures.percent($0, up.upper < 0.004 ? 2 : places) }
      for (index, layer) in layers.enumerated() {
        if let added = layer.added, added.isFinite {
          Chart.bar(
            x: middle(index) - step * 0.36, width: step * 0.72, from: up.place(0), to: up.place(added),
            title:
              "layer \(layer.layer) adds \(Figures.percent(added, 3)), \(Figures.percent(layer.error, 3)) after it",
            in: &drawing)
        }
      }
      let points = layers.enumerated().filter { $1.error.isFinite }
      Chart.path(through: points.map { (middle($0), up.place($1.error)) }, "line", in: &drawing)
      for (index, layer) in points where layers.count <= 40 {
        drawing.element(
          "circle",
          [
            "class": "dot", "cx": Chart.number(middle(index)), "cy": Chart.number(up.place(layer.error)), "r": "3.5",
          ]
        ) { $0.element("title", "after layer \(layer.layer): \(Figures.percent(layer.error, 3))") }
      }
      let stride = max(1, (layers.count + 11) / 12)
      let ticks = layers.enumerated().filter { $0.offset % stride == 0 }
      Chart.addFoot(ticks.map { (middle($0), "\($1.layer)") }, to: &drawing, unit: "layer")
    }
  }
}

/// The errors of several models after each layer, on one logarithmic axis.
struct LayerComparison {
  let models: [(label: String, errors: [Double])]

  func add(to page: inout Markup, id: String) {
    let up = Scale(logarithmic: models.flatMap(\.errors), from: Chart.bottom, to: Chart.top)
    let count = models.map(\.errors.count).max() ?? 0
    let end = Chart.right - 62
    let place = { (index: Int) in Chart.left + 8 + (end - Chart.left - 8) * Double(index) / Double(max(1, count - 1)) }
    Chart.add(
      to: &page, id: id, title: "Relative error of the hidden state after each layer, by model",
      description: "After the last layer: "
        + models.map { "\($0.label) \($0.errors.last.map { Figures.percent($0, 2) } ?? "not measured")" }
        .joined(separator: ", ")
    ) { drawing in
      Chart.addRules(up, to: &drawing, unit: "relative error") {
        Figures.percent($0, max(0, -2 - Scale.exponent(of: $0)))
      }
      var taken: [Double] = []
      for model in models {
        let points = model.errors.enumerated().filter { $1.isFinite && $1 > 0 }
          .map { (x: place($0.offset), y: up.place($0.element)) }
        Chart.path(through: points, "line", in: &drawing)
        guard let last = points.last else { continue }
        var y = last.y + 4
        // In their order, so that one pass finds the first place that is free below.
        for near in taken where (near - y).magnitude < 13 { y = near + 13 }
        taken.append(y)
        taken.sort()
        Chart.text(model.label, at: (last.x + 7, y), anchor: "start", style: "label", in: &drawing)
      }
      let stride = max(1, (count + 11) / 12)
      Chart.addFoot(
        Swift.stride(from: 0, to: count, by: stride).map { (place($0), "\($0)") }, to: &drawing, unit: "layer")
    }
  }
}

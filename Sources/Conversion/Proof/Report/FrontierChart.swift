/// What a model costs in bytes against what it costs in fidelity. Nothing is both smaller and nearer the reference than a
/// model on the frontier.
struct FrontierChart {
  struct Point: Sendable {
    var label: String
    var bytes: Int
    /// In nats.
    var divergence: Double
    var passed: Bool
  }

  let points: [Point]

  /// The points that no other beats in both, by size.
  var frontier: [Point] {
    var best = Double.infinity
    return points.enumerated().sorted {
      ($0.element.bytes, $0.element.divergence, $0.offset) < ($1.element.bytes, $1.element.divergence, $1.offset)
    }.map(\.element).filter { point in
      guard point.divergence < best else { return false }
      best = point.divergence
      return true
    }
  }

  func add(to page: inout Markup, id: String) {
    let size = FrontierChart.unit(points.map(\.bytes).max() ?? 0)
    let across = Scale(
      linear: points.map { Double($0.bytes) / size.bytes }, from: Chart.left + 14, to: Chart.right - 14,
      includingZero: false)
    let up = Scale(logarithmic: points.map(\.divergence), from: Chart.bottom - 10, to: Chart.top)
    let place = { (point: Point) in (x: across.place(Double(point.bytes) / size.bytes), y: up.place(point.divergence)) }
    Chart.add(
      to: &page, id: id, title: "Size against mean KL divergence",
      description: "On the frontier: " + frontier.map(\.label).joined(separator: ", ")
    ) { drawing in
      Chart.addRules(up, to: &drawing, unit: "mean KL divergence, nats")
      Chart.path(through: frontier.map(place), "front", in: &drawing)
      for point in points {
        drawing.element(
          "circle",
          [
            "class": point.passed ? "dot" : "dot failing", "cx": Chart.number(place(point).x),
            "cy": Chart.number(place(point).y), "r": "6",
          ]
        ) {
          $0.element(
            "title",
            "\(point.label): \(megabytes(point.bytes)), \(Figures.significant(point.divergence, 3)) nats"
              + (point.passed ? "" : ", failed"))
        }
      }
      addLabels(points.map { ($0.label, place($0)) }, to: &drawing)
      let ticks = across.ticks().map { (across.place($0.value), $0.label) }
      Chart.addFoot(ticks, to: &drawing, unit: "size, \(size.name)")
    }
  }

  /// Beside each point where no other label or point is, else above it.
  private func addLabels(_ labels: [(String, (x: Double, y: Double))], to drawing: inout Markup) {
    var taken = labels.map { (left: $0.1.x - 7, right: $0.1.x + 7, top: $0.1.y - 7, bottom: $0.1.y + 7) }
    for (label, point) in labels {
      let width = 7.2 * Double(label.count)
      let offers = [(10.0, -8.0), (10, 14), (-10 - width, -8), (-10 - width, 14), (-width / 2, -14), (-width / 2, 22)]
      let boxes = offers.map { dx, dy in
        (left: point.x + dx, right: point.x + dx + width, top: point.y + dy - 10, bottom: point.y + dy + 3)
      }
      let free = boxes.first { box in
        box.left > Chart.left && box.right < Chart.right + 8 && box.top > 14 && box.bottom < Chart.bottom
          && !taken.contains {
            $0.left < box.right && box.left < $0.right && $0.top < box.bottom && box.top < $0.bottom
          }
      }
      let box = free ?? boxes[4]
      taken.append(box)
      Chart.text(label, at: (box.left, box.bottom - 3), anchor: "start", style: "label", in: &drawing)
    }
  }

  private static func unit(_ bytes: Int) -> (bytes: Double, name: String) {
    bytes >= 1_000_000_000 ? (1e9, "GB") : bytes >= 1_000_000 ? (1e6, "MB") : (1e3, "kB")
  }
}

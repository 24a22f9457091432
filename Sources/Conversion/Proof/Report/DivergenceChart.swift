import Models

/// How many tokens diverge how far: bars of equal width on a logarithmic axis.
struct DivergenceChart {
  /// A bar.
  struct Bin: Sendable {
    /// In nats; `lower` is in the bin, `upper` is not.
    var lower: Double
    var upper: Double
    /// Whether all that is less was counted here too.
    var isOpen = false
    var count: Int
  }

  /// Bins in ascending order.
  let bins: [Bin]
  /// Tokens that do not diverge at all, which have no place on the axis.
  let zeros: Int
  /// Lines to be drawn, such as the median.
  let guides: [(label: String, value: Double)]
  /// What the axes must hold, so that candidates can be compared by eye.
  let domain: [Double]
  let greatestShare: Double

  var total: Int { bins.reduce(zeros) { $0 + $1.count } }

  func add(to page: inout Markup, id: String) {
    let first = Chart.left + (zeros > 0 ? 34 : 8)
    let across = Scale(logarithmic: domain, from: first, to: Chart.right - 4)
    let share = { (count: Int) in Double(count) / Double(max(total, 1)) }
    let up = Scale(linear: [greatestShare], from: Chart.bottom, to: Chart.top)
    Chart.add(
      to: &page, id: id, title: "How far single tokens diverge",
      description: guides.map { "\($0.label) \(Figures.significant($0.value, 3)) nats" }.joined(separator: ", ")
    ) { drawing in
      Chart.addRules(up, to: &drawing, unit: "share of tokens") { Figures.percent($0, $0 < 0.01 && $0 > 0 ? 1 : 0) }
      if zeros > 0 {
        Chart.bar(
          x: Chart.left + 4, width: 16, from: Chart.bottom, to: up.place(share(zeros)),
          title: "exactly 0: \(Figures.count(zeros)) tokens, \(Figures.percent(share(zeros), 2))", in: &drawing)
      }
      for bin in bins where bin.count > 0 {
        let (left, right) = (across.place(bin.lower), across.place(bin.upper))
        Chart.bar(
          x: left + 0.5, width: right - left - 1, from: Chart.bottom, to: up.place(share(bin.count)),
          title: (bin.isOpen ? "less than" : "\(Figures.significant(bin.lower, 2)) to")
            + " \(Figures.significant(bin.upper, 2)) nats: "
            + "\(Figures.count(bin.count)) tokens, \(Figures.percent(share(bin.count), 2))", in: &drawing)
      }
      addGuides(across, to: &drawing)
      let ticks = across.ticks(most: 6).map { (across.place($0.value), $0.label) }
      Chart.addFoot((zeros > 0 ? [(Chart.left + 12, "0")] : []) + ticks, to: &drawing, unit: "KL divergence, nats")
    }
  }

  private func addGuides(_ across: Scale, to drawing: inout Markup) {
    let shown = guides.filter { $0.value > 0 && $0.value.isFinite }.sorted { $0.value < $1.value }
    // Labels stand at the right of their lines, the leftmost highest; where there is no room, mirrored.
    let isMirrored = shown.last.map { across.place($0.value) > Chart.right - 60 } ?? false
    for (index, guide) in shown.enumerated() {
      let row = isMirrored ? shown.count - 1 - index : index
      let (x, y) = (across.place(guide.value), Chart.top - 4 + 14 * Double(row))
      Chart.line(from: (x, y - 8), to: (x, Chart.bottom), "guide", in: &drawing)
      Chart.text(
        guide.label, at: (x + (isMirrored ? -5 : 5), y), anchor: isMirrored ? "end" : "start", style: "guided",
        in: &drawing)
    }
  }
}

/// The divergences of a drift in five bins a decade.
struct DivergenceHistogram {
  let bins: [DivergenceChart.Bin]
  let zeros: Int

  init(of drift: Drift, domain: [Double]) {
    let scale = Scale(logarithmic: domain, from: 0, to: 1)
    let (first, last) = (Scale.exponent(of: scale.lower), Scale.exponent(of: scale.upper))
    let steps = [1, 1.584893192461114, 2.51188643150958, 3.981071705534973, 6.309573444801933]
    let edges =
      (first..<last).flatMap { exponent in steps.map { $0 * Scale.power(exponent) } } + [Scale.power(last)]
    var bins = zip(edges, edges.dropFirst()).map { DivergenceChart.Bin(lower: $0, upper: $1, count: 0) }
    var zeros = 0
    for divergence in drift.divergences.lazy.map(Double.init) {
      guard divergence > 0 else {
        zeros += 1
        continue
      }
      // The number of edges that are not above it.
      var (low, high) = (0, edges.count)
      while low < high {
        let middle = (low + high) / 2
        if divergence < edges[middle] { high = middle } else { low = middle + 1 }
      }
      if low == 0 { bins[0].isOpen = true }
      bins[min(max(low - 1, 0), bins.count - 1)].count += 1
    }
    self.zeros = zeros
    self.bins = bins
  }

  var greatestShare: Double {
    let total = bins.reduce(zeros) { $0 + $1.count }
    return Double(max(zeros, bins.map(\.count).max() ?? 0)) / Double(max(1, total))
  }
}

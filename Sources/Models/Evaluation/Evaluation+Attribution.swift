import Bytes
public import Tensors

extension Evaluation {
  /// What each of `replacements` does alone: the mean divergence, in nats, of `reference`'s predictions with that one tensor
  /// replaced from its own predictions.
  ///
  /// The reference is walked once for as many replacements as the budget for hidden states allows. Every replacement begins
  /// at its layer, with the reference's states before it, and is followed through the reference's own layers after it; so
  /// the weights are read once a group, and the next group goes on from the layer where its first replacement is.
  /// - Parameters:
  ///   - replacements: named as the tensors that they replace, of the same shapes, of any type; in any order.
  ///   - together: at most so many in a group, however many the budget allows.
  ///   - measured: is told each divergence, by the number of the replacement, when its group has passed.
  /// - Returns: in the order of `replacements`.
  /// - Throws: `LIMIT` when the budget has no room for one replacement beside the reference; `NAME`, `SHAPE` or `TYPE` for a
  ///   tensor that replaces none; `NONFINITE`; what reading or `measured` throws.
  public func divergences(
    of replacements: [Tensor], in reference: ForwardPass, together: Int = .max,
    measured: ([(number: Int, divergence: Double)]) throws -> Void = { _ in }
  ) throws -> [Double] {
    var results = [Double](repeating: 0, count: replacements.count)
    let probes = try replacements.enumerated().map { try Probe($0, $1, in: reference) }
    let perSlot = max(1, text.count * ForwardPass.stateBytes(reference.parameters, tokens: text.context))
    let walked = probes.filter { $0.start != nil }.sorted { ($0.start!, $0.number) < ($1.start!, $1.number) }
    let resting = probes.filter { $0.start == nil }
    let slots = stateBytes / perSlot
    guard slots > AttributionWalk.ownSlots else {
      throw InputError(
        .limit,
        "replacing one tensor at a time in \(text.count) chunks of \(text.context) tokens needs "
          + "\(perSlot * (AttributionWalk.ownSlots + 1)) bytes of hidden states, there is room for \(stateBytes)",
        remedy: "give more --memory, fewer --attribute-chunks or a shorter --ctx")
    }
    let room = max(1, min(walked.count, slots - AttributionWalk.ownSlots, together))
    let walk = try AttributionWalk(text, reference, room: room)
    let groups = stride(from: 0, to: max(1, walked.count), by: room).map {
      Array(walked[$0..<min(walked.count, $0 + room)])
    }
    let cost = WalkCost(reference.parameters, text)
    let outputs = groups.enumerated().map { Double(1 + $1.count + ($0 == 0 ? resting.count : 0)) * cost.output }
    let layers = groups.enumerated().map { number, group in
      ((number == 0 ? 0 : max(0, group[0].start ?? 0))..<reference.layerCount).map { layer in
        (layer: layer, cost: cost.layer * Double(1 + group.count { $0.start! <= layer }))
      }
    }
    var state = Progress(
      done: 0, total: groups.count * (reference.layerCount + 1),
      totalCost: outputs.reduce(0, +) + layers.joined().reduce(0) { $0 + $1.cost })
    try progress(state)
    for (number, group) in groups.enumerated() {
      let next = number + 1 < groups.count ? groups[number + 1].first?.start : nil
      try walk.run(group, keepingLayer: next) { done in
        state.done = number * (reference.layerCount + 1) + done
        state.cost += layers[number].first { $0.layer + 1 == done }?.cost ?? 0
        try progress(state)
      }
      let slots = group.enumerated().map { (probe: $1, slot: AttributionWalk.ownSlots + $0) }
      let last = number == 0 ? resting.map { (probe: $0, slot: AttributionWalk.reference) } : []
      // Another output is a matrix of its own in memory, so those come one at a time.
      let together = slots.filter { !$0.probe.changesOutput }
      let alone = (slots + last).filter(\.probe.changesOutput)
      for part in (together.isEmpty ? [] : [together]) + alone.map({ [$0] }) {
        let found = try divergences(of: part, walk)
        for (index, value) in found { results[index] = value }
        try measured(found)
      }
      state.done = (number + 1) * (reference.layerCount + 1)
      state.cost += outputs[number]
      try progress(state)
    }
    return results
  }

  /// The mean divergence of probes whose states have come through all layers. When there are several, none of them changes
  /// the output.
  private func divergences(
    of probes: [(probe: Probe, slot: Int)], _ walk: AttributionWalk
  ) throws -> [(number: Int, divergence: Double)] {
    let reference = walk.reference
    let pass =
      probes[0].probe.changesOutput
      ? try ForwardPass(
        probes[0].probe.model, jobs: reference.jobs, arithmetic: reference.arithmetic, sharing: reference) : reference
    let columns = reference.parameters.vocabularySize
    let (p, q) = (try Matrix(rows: rowsInTile, columns: columns), try Matrix(rows: rowsInTile, columns: columns))
    var sums = [Double](repeating: 0, count: probes.count)
    for chunk in 0..<text.count {
      for rows in tiles() {
        func logits(_ pass: ForwardPass, slot: Int, into tile: Matrix) throws {
          let states = walk.slot(slot)
          try pass.logits(of: rows.map { states.chunks[chunk].lowerBound + $0 }, in: states, into: tile)
        }
        try logits(reference, slot: AttributionWalk.reference, into: p)
        for (index, (_, slot)) in probes.enumerated() {
          try logits(pass, slot: slot, into: q)
          let parts = try scored(rows, of: chunk, jobs: reference.jobs) { row, target in
            LogitMath.drift(reference: p.view, quantized: q.view, row: row, target: target).divergence
          }
          for value in parts { sums[index] += try finite(value, reference) }
        }
      }
    }
    return zip(probes, sums).map { ($0.probe.number, $1 / Double(text.scoredCount)) }
  }
}

/// One tensor to replace.
private struct Probe {
  /// Among the replacements.
  let number: Int
  let tensor: Tensor
  /// The reference with the tensor replaced.
  let model: ModelSource
  /// The layer that it is in, -1 for what is before the first; `nil` when no hidden state depends on it.
  let start: Int?
  /// Whether the output is computed with it.
  let changesOutput: Bool

  init(_ number: Int, _ tensor: Tensor, in reference: ForwardPass) throws(InputError) {
    (self.number, self.tensor) = (number, tensor)
    model = try reference.model.replacing(tensor)
    let parts = tensor.name.split(separator: ".")
    let layer = parts.count > 1 && parts[0] == "blk" ? Int(parts[1]) : nil
    switch tensor.name {
    case "token_embd.weight": (start, changesOutput) = (-1, reference.parameters.tiesOutput)
    case "output.weight", "output_norm.weight": (start, changesOutput) = (nil, true)
    case _ where layer.map { 0..<reference.layerCount ~= $0 } ?? false: (start, changesOutput) = (layer, false)
    default:
      throw InputError(
        .unsupported, "what this tensor alone causes is not measured", subject: tensor.name,
        remedy: "replace weights of a layer, the embedding or the output")
    }
  }
}

/// The reference's states and those of some probes, each in a slot of one matrix.
private final class AttributionWalk {
  /// Slots of the reference: its states, those before the layer that is applied, and those where the next group begins.
  static let reference = 0, input = 1, kept = 2, ownSlots = 3

  let text: TextChunks
  let reference: ForwardPass
  private let states: HiddenStates
  private let inputs: [[Int32]]
  /// The layer before which the kept states are; `nil` when there are none.
  private var keptLayer: Int?

  init(_ text: TextChunks, _ reference: ForwardPass, room: Int) throws {
    (self.text, self.reference) = (text, reference)
    inputs = (0..<text.count).map(text.input)
    states = try HiddenStates(
      chunkLengths: Array(repeating: text.context, count: text.count * (AttributionWalk.ownSlots + room)),
      columns: reference.parameters.hiddenSize)
  }

  func slot(_ slot: Int) -> HiddenStates { slots(slot..<slot + 1) }

  private func slots(_ range: Range<Int>) -> HiddenStates {
    states.selecting(range.lowerBound * text.count..<range.upperBound * text.count)
  }

  /// Takes `probes`, in the order of their layers, through all layers; the first is in slot `ownSlots`.
  /// - Parameter keepingLayer: where the next group begins.
  func run(_ probes: [Probe], keepingLayer: Int?, afterLayer: (Int) throws -> Void) throws {
    let own = AttributionWalk.ownSlots
    let (current, input) = (slot(AttributionWalk.reference), slot(AttributionWalk.input))
    var alive = 0
    var first = 0
    if let keptLayer {
      first = keptLayer
      current.copy(from: slot(AttributionWalk.kept))
    } else {
      try reference.embed(inputs, into: current)
    }
    while alive < probes.count, probes[alive].start == -1 {
      try ForwardPass(probes[alive].model, jobs: reference.jobs, arithmetic: reference.arithmetic, sharing: reference)
        .embed(inputs, into: slot(own + alive))
      alive += 1
    }
    keptLayer = nil
    for layer in first..<reference.layerCount {
      if let keepingLayer, layer == max(0, keepingLayer) {
        slot(AttributionWalk.kept).copy(from: current)
        keptLayer = layer
      }
      input.copy(from: current)
      try reference.load(layer: layer)
      try reference.applyLoaded(
        layer, to: states.selecting(Array(0..<text.count) + (own * text.count..<(own + alive) * text.count)))
      while alive < probes.count, probes[alive].start == layer {
        slot(own + alive).copy(from: input)
        try reference.applyLoaded(layer, replacing: probes[alive].tensor, to: slot(own + alive))
        alive += 1
      }
      try afterLayer(layer + 1)
    }
  }
}

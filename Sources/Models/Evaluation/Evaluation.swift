import Bytes
import Tensors

/// Walks models over a text and scores what they predict.
///
/// Chunks go through all layers in groups; a group is as large as the budget for hidden states allows, so the weights are
/// read once a group. Results do not depend on the grouping or on the number of threads.
public struct Evaluation {
  let text: TextChunks
  let stateBytes: Int
  let progress: (Progress) throws -> Void

  /// How far a walk has come.
  public struct Progress: Hashable, Sendable {
    /// Layers times chunks, over all models, with the output as one layer more.
    public var done: Int
    public var total: Int
    /// The same, each layer and the output weighed by what it takes.
    public var cost = 0.0
    public var totalCost: Double
    /// The estimate so far; `nil` before the first group is scored.
    public var perplexity: Double?
  }

  /// - Parameters:
  ///   - stateBytes: the budget for the hidden states of all models together; at least one chunk is taken.
  ///   - progress: called between layers; what it throws ends the walk.
  public init(
    _ text: TextChunks, stateBytes: Int = 1 << 30, progress: @escaping (Progress) throws -> Void = { _ in }
  ) {
    (self.text, self.stateBytes, self.progress) = (text, stateBytes, progress)
  }

  /// The perplexity of `pass`'s model.
  /// - Parameter file: takes all predictions too.
  /// - Throws: `NONFINITE` when a prediction is not a number; what reading and writing throw.
  public func perplexity(of pass: ForwardPass, saving file: LogitsFileWriter? = nil) throws -> LogLikelihood {
    var total = LogLikelihood()
    try predictions(of: pass) { chunk, rows, logits in
      let parts = try scored(rows, of: chunk, jobs: pass.jobs) { row, target in
        LogitMath.negativeLogLikelihood(logits.view, row: row, target: target)
      }
      for value in parts { total.add(try finite(value, pass)) }
      try file?.write(rows, of: chunk, logits.view)
      return total.perplexity
    }
    return total
  }

  /// The drift of `pass`'s model from predictions that were kept in a file, over the text that this file holds.
  /// - Throws: `SHAPE` when the vocabularies differ; `NONFINITE`; what reading throws.
  public func drift(of pass: ForwardPass, from file: LogitsFileReader) throws -> Drift {
    guard pass.parameters.vocabularySize == file.header.vocabularySize else {
      throw InputError(
        .shape,
        "predictions over \(file.header.vocabularySize) tokens, the model has \(pass.parameters.vocabularySize)",
        file: file.path, remedy: "compare a model with the logits of the one that it was made from")
    }
    var total = Drift()
    try predictions(of: pass) { chunk, rows, logits in
      let parts = try scored(rows, of: chunk, jobs: pass.jobs) { row, target in
        LogitMath.drift(
          reference: try file.row(rows.lowerBound + row, of: chunk), quantized: logits.view, row: row, target: target)
      }
      for token in parts {
        _ = try finite(token.quantized, pass)
        total.add(token)
      }
      if rows.upperBound == text.scored.upperBound { total.endBlock() }
      return total.quantized.perplexity
    }
    return total
  }

  /// Gives `visit` the logits of every scored position, a tile of them at a time.
  /// - Parameter visit: given the chunk, the positions in it, and a tile whose first rows are theirs; returns the perplexity
  ///   so far.
  private func predictions(
    of pass: ForwardPass, _ visit: (_ chunk: Int, _ positions: Range<Int>, _ logits: Matrix) throws -> Double
  ) throws {
    var tile: Matrix?
    try walk([pass]) { chunks, states in
      var perplexity = Double.nan
      for (chunk, number) in chunks.enumerated() {
        for rows in tiles() {
          let logits = try tile ?? Matrix(rows: rowsInTile, columns: pass.parameters.vocabularySize)
          tile = logits
          let first = states[0].chunks[chunk].lowerBound
          try pass.logits(of: rows.map { first + $0 }, in: states[0], into: logits)
          perplexity = try visit(number, rows, logits)
        }
      }
      return perplexity
    }
  }

  // MARK: The walk

  var rowsInTile: Int { min(ForwardPass.rowsPerTile, text.scored.count) }

  /// The scored positions of a chunk, cut into tiles. Never across chunks, so that a tile's sums are the same in any group.
  func tiles() -> [Range<Int>] {
    stride(from: text.scored.lowerBound, to: text.scored.upperBound, by: ForwardPass.rowsPerTile).map {
      $0..<min(text.scored.upperBound, $0 + ForwardPass.rowsPerTile)
    }
  }

  /// `body(row in the tile, target)` for the positions `rows` of `chunk`, in their order.
  func scored<Value: Sendable>(
    _ rows: Range<Int>, of chunk: Int, jobs: Int, _ body: @Sendable (_ row: Int, _ target: Int) throws -> Value
  ) throws -> [Value] {
    let text = text
    return try Parallel.map(rows.count, jobs: jobs) { row in
      try body(row, Int(text.target(chunk, after: rows.lowerBound + row)))
    }
  }

  func finite(_ value: Double, _ pass: ForwardPass) throws -> Double {
    guard value.isFinite else {
      throw InputError(
        .nonFinite, "the model computes no number for a token of the text",
        remedy: "a weight is NaN, infinite or far too large; inspect the model and its source")
    }
    return value
  }

  /// Pushes all chunks through all passes, a group of chunks at a time.
  /// - Parameter probes: so many of the text's first chunks are followed in all passes but the first once more: before each
  ///   layer they are given the first pass's states. They stand behind the others in the states of their group.
  /// - Parameter start: the group that an earlier walk was at, the layers that it had passed, and what gives its states; groups
  ///   before it are not walked.
  /// - Parameter goesOn: asked before each group but the first.
  func walk(
    _ passes: [ForwardPass], probes: Int = 0,
    from start: (group: Range<Int>, layer: Int, restore: ([HiddenStates]) throws -> Void)? = nil,
    goesOn: () -> Bool = { true },
    afterLayer: (_ group: Range<Int>, _ layer: Int, [HiddenStates]) throws -> Void = { _, _, _ in },
    score: (Range<Int>, [HiddenStates]) throws -> Double
  ) throws {
    let depth = passes[0].layerCount
    let size = WalkMemory.groupSize(passes.map(\.parameters), text, probes: probes, stateBytes: stateBytes)
    let cost = WalkCost(passes[0].parameters, text)
    let followed = text.count * passes.count + min(probes, text.count) * (passes.count - 1)
    var state = Progress(
      done: 0, total: text.count * (depth + 1) * passes.count,
      totalCost: cost.layer * Double(followed * depth) + cost.output * Double(text.count * passes.count))
    let first = start?.group ?? 0..<min(text.count, size)
    let groups =
      [first]
      + stride(from: first.upperBound, to: text.count, by: size).map { $0..<min(text.count, $0 + size) }
    state.done = first.lowerBound * (depth + 1) * passes.count + first.count * passes.count * (start?.layer ?? 0)
    try progress(state)
    for chunks in groups {
      if chunks.lowerBound > 0, !goesOn() {
        (state.done, state.cost) = (state.total, state.totalCost)
        return try progress(state)
      }
      let inputs = chunks.map(text.input)
      let probed = inputs.prefix(max(0, probes - chunks.lowerBound))
      let states = try passes.enumerated().map { try $1.embed($0 == 0 ? inputs : inputs + probed) }
      let passed = chunks == start?.group ? start?.layer ?? 0 : 0
      if passed > 0 { try start?.restore(states) }
      for layer in passed..<depth {
        for state in states.dropFirst() { state.copyProbes(from: states[0]) }
        for (pass, state) in zip(passes, states) { try pass.apply(layer: layer, to: state) }
        try afterLayer(chunks, layer, states)
        state.done += chunks.count * passes.count
        state.cost += cost.layer * Double(states.reduce(0) { $0 + $1.chunks.count })
        try progress(state)
      }
      state.perplexity = try score(chunks, states)
      state.done += chunks.count * passes.count
      state.cost += cost.output * Double(chunks.count * passes.count)
      try progress(state)
    }
  }
}

import Bytes
import Tensors

/// What a walk found out about one model beside its reference.
public struct CandidateDrift: Sendable {
  /// Over the predictions.
  public var drift = Drift()
  public var layers: [LayerDrift]
  /// The 20 positions of the largest divergence, the largest first.
  public var worst: [WorstPosition] = []
}

/// The hidden states after one layer.
public struct LayerDrift: Sendable, BitwiseCopyable {
  /// All that has gathered up to here: the candidate's states from the reference's.
  public var state = StateDifference()
  /// What this layer alone adds: the candidate's layer from the reference's, both given the reference's states before it.
  /// Over the first chunks of the text; see `Evaluation.probedChunks`.
  public var added = StateDifference()
}

extension Evaluation {
  /// Chunks over which `LayerDrift.added` is measured: as many as have 2048 tokens, of short texts an eighth, at least one.
  /// The relative error of a layer over so many vectors is known to well under a hundredth of itself, and the walk pays little
  /// for it.
  public static func probedChunks(_ text: TextChunks) -> Int { max(1, min(2048 / text.context, (text.count + 7) / 8)) }

  /// The drift of every pass's model from `reference`'s, over the same text and side by side; the reference is computed
  /// once.
  /// - Parameters:
  ///   - keeper: is asked where an earlier walk ended, and told how far this one comes.
  ///   - isDecided: asked after each chunk, with what was found so far; the walk ends when it says so.
  /// - Throws: `SHAPE` when the vocabularies, widths or depths differ; `NONFINITE`; what reading throws.
  public func drift(
    of passes: [ForwardPass], from reference: ForwardPass, keeper: (any DriftKeeper)? = nil,
    until isDecided: ([CandidateDrift]) -> Bool = { _ in false }
  ) throws -> [CandidateDrift] {
    for pass in passes { try checkSizes(of: pass, reference) }
    let probed = Evaluation.probedChunks(text)
    var results = passes.map { CandidateDrift(layers: .init(repeating: LayerDrift(), count: $0.layerCount)) }
    var worst = passes.map { _ in WorstPositions(limit: 20) }
    let columns = reference.parameters.vocabularySize
    var tiles: (p: Matrix, q: Matrix)?
    var ends = false
    // Of the group's chunks, by pass and layer. Summed chunk by chunk where they are scored: so the sums do not depend on the
    // grouping, and are of what was scored where the walk ends early.
    var parts = passes.map { _ in [(state: [StateDifference], added: [StateDifference])]() }
    // Every scored token, where it is to be kept.
    var tokens = passes.map { _ in [TokenDrift]() }
    let known = try keeper?.progress()
    if let known {
      for (number, model) in known.models.enumerated() {
        results[number].layers = model.layers
        (tokens[number], parts[number]) = (model.tokens, model.group)
        for (index, token) in model.tokens.enumerated() {
          let (chunk, place) = index.quotientAndRemainder(dividingBy: text.scored.count)
          results[number].drift.add(token)
          worst[number].add(token, chunk: chunk, position: text.scored.lowerBound + place)
          if place == text.scored.count - 1 { results[number].drift.endBlock() }
        }
      }
    }
    try walk(
      [reference] + passes, probes: probed,
      from: known.map { known in (known.group, known.layer, { try keeper?.restore($0) }) }, goesOn: { !ends }
    ) { group, layer, states in
      for index in passes.indices {
        if layer == 0 { parts[index].removeAll() }
        let part = try states[index + 1].differences(from: states[0], jobs: reference.jobs)
        parts[index].append((Array(part.state), Array(part.added)))
      }
      try keeper?.layerEnded(
        {
          DriftProgress(
            group: group, layer: layer + 1,
            models: passes.indices.map { .init(tokens: tokens[$0], layers: results[$0].layers, group: parts[$0]) })
        }, states)
    } score: { chunks, states in
      for (index, chunk) in chunks.enumerated() {
        for (number, layers) in parts.enumerated() {
          for (layer, part) in layers.enumerated() {
            results[number].layers[layer].state.merge(part.state[index])
            if index < part.added.count { results[number].layers[layer].added.merge(part.added[index]) }
          }
        }
        for rows in self.tiles() {
          let (p, q) =
            try tiles ?? (Matrix(rows: rowsInTile, columns: columns), Matrix(rows: rowsInTile, columns: columns))
          tiles = (p, q)
          let first = states[0].chunks[index].lowerBound
          try reference.logits(of: rows.map { first + $0 }, in: states[0], into: p)
          for (number, pass) in passes.enumerated() {
            try pass.logits(of: rows.map { first + $0 }, in: states[number + 1], into: q)
            let found = try scored(rows, of: chunk, jobs: pass.jobs) { row, target in
              LogitMath.drift(reference: p.view, quantized: q.view, row: row, target: target)
            }
            if keeper != nil { tokens[number] += found }
            for (row, token) in found.enumerated() {
              _ = try finite(token.reference, reference)
              _ = try finite(token.quantized, pass)
              results[number].drift.add(token)
              worst[number].add(token, chunk: chunk, position: rows.lowerBound + row)
            }
          }
        }
        for number in passes.indices { results[number].drift.endBlock() }
        ends = isDecided(results)
        if ends { break }
      }
      return results[0].drift.quantized.perplexity
    }
    for index in passes.indices { results[index].worst = worst[index].positions }
    return results
  }

  private func checkSizes(of pass: ForwardPass, _ reference: ForwardPass) throws(InputError) {
    let (ours, theirs) = (pass.parameters, reference.parameters)
    guard ours.vocabularySize == theirs.vocabularySize, ours.hiddenSize == theirs.hiddenSize,
      ours.layerCount == theirs.layerCount
    else {
      throw InputError(
        .shape,
        "vocabulary \(ours.vocabularySize), width \(ours.hiddenSize), layers \(ours.layerCount) beside "
          + "\(theirs.vocabularySize), \(theirs.hiddenSize), \(theirs.layerCount) of the reference",
        remedy: "compare a model with the one that it was made from")
    }
  }
}

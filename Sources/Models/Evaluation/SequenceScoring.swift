import Bytes
import Tensors

/// What a model thinks of tokens in many short sequences of different lengths.
///
/// Sequences are packed in their order, so that a tile of logits has few idle rows, and packs go through all layers in
/// groups, as large as the budget for hidden states allows: weights are read once a group. What is in a pack does not
/// depend on the budget, and so neither do the results, nor on the number of threads.
public struct SequenceScoring {
  private let sequences: [TokenSequence]
  private let stateBytes: Int
  private let progress: (_ done: Int, _ total: Int) throws -> Void

  /// Input tokens in a pack, if it has more than one sequence.
  static let tokensPerPack = 8192

  /// - Parameters:
  ///   - stateBytes: the budget for hidden states; at least one pack is taken.
  ///   - progress: called between layers with the work done, layers times sequences; what it throws ends the walk.
  public init(
    _ sequences: [TokenSequence], stateBytes: Int = 1 << 30, progress: @escaping (Int, Int) throws -> Void = { _, _ in }
  ) {
    (self.sequences, self.stateBytes, self.progress) = (sequences, stateBytes, progress)
  }

  /// `ln p` of every target of every sequence, in their orders.
  /// - Throws: `NONFINITE` when a prediction is not a number; `BOUNDS` for a token that the vocabulary has not; what
  ///   reading throws.
  public func logLikelihoods(of pass: ForwardPass) throws -> [[Double]] {
    var results: [[Double]] = []
    results.reserveCapacity(sequences.count)
    let total = sequences.count * (pass.layerCount + 1)
    var done = 0
    var tile: Matrix?
    for group in groups(pass.parameters) {
      let states = try pass.embed(sequences[group.joined].map(\.input))
      for layer in 0..<pass.layerCount {
        try pass.apply(layer: layer, to: states)
        done += group.joined.count
        try progress(done, total)
      }
      for pack in group.packs {
        let logits = try tile ?? Matrix(rows: ForwardPass.rowsPerTile, columns: pass.parameters.vocabularySize)
        tile = logits
        results += try score(pack, from: group.joined.lowerBound, states, logits, pass)
      }
      done += group.joined.count
      try progress(done, total)
    }
    return results
  }

  /// - Parameter first: the sequence of the first chunk of `states`.
  private func score(
    _ pack: Range<Int>, from first: Int, _ states: HiddenStates, _ tile: Matrix, _ pass: ForwardPass
  ) throws -> [[Double]] {
    // The rows of the states that are wanted, and which of them answers each target.
    var rows: [Int] = []
    var asked: [(row: Int, token: Int)] = []
    for index in pack {
      let sequence = sequences[index]
      let start = states.chunks[index - first].lowerBound
      asked += sequence.targets.map { (rows.count + $0.position - sequence.firstScored, Int($0.token)) }
      rows += sequence.scored.map { start + $0 }
    }
    let vocabulary = pass.parameters.vocabularySize
    if let unknown = asked.first(where: { !(0..<vocabulary).contains($0.token) }) {
      throw InputError(
        .bounds, "token \(unknown.token) is not in the vocabulary of \(vocabulary)",
        remedy: "use the tokenizer that belongs to the model")
    }
    var answers = [Double](repeating: 0, count: asked.count)
    for start in stride(from: 0, to: rows.count, by: ForwardPass.rowsPerTile) {
      let part = start..<min(rows.count, start + ForwardPass.rowsPerTile)
      try pass.logits(of: rows[part], in: states, into: tile)
      let here = asked.indices.filter { part.contains(asked[$0].row) }
      let parts = try Parallel.map(here.count, jobs: pass.jobs) { [asked] index in
        let (row, token) = asked[here[index]]
        return -LogitMath.negativeLogLikelihood(tile.view, row: row - start, target: token)
      }
      for (index, value) in zip(here, parts) {
        guard value.isFinite else {
          throw InputError(
            .nonFinite, "the model computes no number for a token of a task",
            remedy: "a weight is NaN, infinite or far too large; inspect the model and its source")
        }
        answers[index] = value
      }
    }
    var next = 0
    return pack.map { index in
      defer { next += sequences[index].targets.count }
      return Array(answers[next..<next + sequences[index].targets.count])
    }
  }

  // MARK: Packs and groups

  /// Packs that are next to each other.
  private struct Group {
    var packs: [Range<Int>]
    var joined: Range<Int> { packs[0].lowerBound..<packs[packs.count - 1].upperBound }
  }

  /// As many sequences as fit one tile of logits and `tokensPerPack`, or one that does not.
  private func packs() -> [Range<Int>] {
    var packs: [Range<Int>] = []
    var start = 0
    var (rows, tokens) = (0, 0)
    for (index, sequence) in sequences.enumerated() {
      rows += sequence.scored.count
      tokens += sequence.input.count
      if index > start, rows > ForwardPass.rowsPerTile || tokens > SequenceScoring.tokensPerPack {
        packs.append(start..<index)
        (start, rows, tokens) = (index, sequence.scored.count, sequence.input.count)
      }
    }
    if start < sequences.count { packs.append(start..<sequences.count) }
    return packs
  }

  private func groups(_ parameters: LlamaParameters) -> [Group] {
    var groups: [Group] = []
    var bytes = 0
    for pack in packs() {
      let tokens = sequences[pack].reduce(0) { $0 + $1.input.count }
      let more = ForwardPass.stateBytes(parameters, tokens: tokens)
      bytes += more
      if groups.isEmpty || bytes > stateBytes {
        groups.append(Group(packs: [pack]))
        bytes = more
      } else {
        groups[groups.count - 1].packs.append(pack)
      }
    }
    return groups
  }
}

import Bytes
package import Tensors

/// The experts chosen for the tokens of one chunk, with the weights of what they say.
package struct ExpertRoutes: Sendable {
  /// Of each token, `used` of them, the likeliest first.
  private let choices: [(expert: Int, weight: Float)]
  private let used: Int

  /// Of each token the softmax over all experts is taken, the `used` largest are kept (the lower number where two are
  /// equal) and divided by their sum, as transformers and llama.cpp do.
  /// - Parameter logits: (tokens, experts); overwritten.
  package init(logits: MatrixView, used: Int) {
    var choices: [(expert: Int, weight: Float)] = []
    choices.reserveCapacity(logits.rows * used)
    for row in 0..<logits.rows {
      unsafe RowMath.softmax(logits.pointer(row: row), count: logits.columns)
      let shares = logits[row..<row + 1].values
      var left = Array(shares.indices)
      var sum: Float = 0
      for _ in 0..<used {
        // One that is no number is never the best; where all are, any will do: what comes of it is no number either.
        var best = 0
        for index in left.indices where shares[left[index]] > shares[left[best]] { best = index }
        let expert = left.remove(at: best)
        choices.append((expert, shares[expert]))
        sum += shares[expert]
      }
      for index in choices.count - used..<choices.count { choices[index].weight /= sum }
    }
    (self.choices, self.used) = (choices, used)
  }

  /// The tokens that `expert` computes, in order.
  package func tokens(of expert: Int) -> [(token: Int, weight: Float)] {
    choices.enumerated().compactMap { $0.element.expert == expert ? ($0.offset / used, $0.element.weight) : nil }
  }
}

/// The feed-forward part of a block with experts, one expert's weights in memory at a time: all chunks' tokens that chose
/// it are computed, then the next one's are read.
final class ExpertLayer {
  private let gate, up, down: PackedMatrix
  private let parameters: LlamaParameters
  /// What the experts see: the normed states of the whole group.
  private var normed: Matrix

  init(_ parameters: LlamaParameters, _ arithmetic: Arithmetic) throws(InputError) {
    self.parameters = parameters
    gate = try PackedMatrix(
      rows: parameters.feedForwardSize, columns: parameters.hiddenSize, arithmetic: arithmetic)
    up = try PackedMatrix(
      rows: parameters.feedForwardSize, columns: parameters.hiddenSize, arithmetic: arithmetic)
    down = try PackedMatrix(
      rows: parameters.hiddenSize, columns: parameters.feedForwardSize, arithmetic: arithmetic)
    normed = try Matrix(rows: 0, columns: parameters.hiddenSize)
  }

  /// `h += Σ weight · down(silu(gate(n)) · up(n))` over the chosen experts, where `n = norm(h)`.
  ///
  /// A chunk is computed by one thread and its experts in order of their numbers, so the sums do not depend on `jobs`.
  /// Unless it `completes`, only what the experts multiply is computed.
  func apply(
    layer: Int, of model: ModelSource, _ block: LlamaBlock, to states: HiddenStates, _ scratch: [LlamaBlock.Scratch],
    jobs: Int, observe: LinearObserver? = nil, completes: Bool = true
  ) throws {
    if normed.rows < states.matrix.rows {
      normed = try Matrix(rows: states.matrix.rows, columns: parameters.hiddenSize)
    }
    let (normed, gate, up, down) = (normed, gate, up, down)
    let routes = try Parallel.map(states.chunks.count, jobs: jobs) { chunk, worker in
      let rows = states.chunks[chunk]
      let routes = try block.route(states.matrix[rows], normed: normed[rows], scratch[worker])
      observe?(.feedForward, nil, chunk, normed[rows])
      return routes
    }
    for expert in 0..<parameters.expertCount {
      let tokens = routes.map { $0.tokens(of: expert) }
      guard tokens.contains(where: { !$0.isEmpty }) else { continue }
      for (part, matrix) in [(ExpertPart.gate, gate), (.up, up), (.down, down)] {
        guard let stack = model[part.stack(layer)] else {
          throw InputError(.missing, "the tensor is missing", subject: part.stack(layer))
        }
        try WeightDecoder.decode(
          stack, rows: expert * matrix.rows..<(expert + 1) * matrix.rows, into: matrix, jobs: jobs)
      }
      let size = parameters.hiddenSize
      try Parallel.forEachWithWorker(states.chunks.count, jobs: jobs) { chunk, worker in
        let (tokens, rows, scratch) = (tokens[chunk], states.chunks[chunk], scratch[worker])
        let part = 0..<tokens.count
        let (input, output) = (scratch.normed[part], scratch.expertOutput[part])
        for (row, (token, _)) in tokens.enumerated() {
          unsafe input.pointer(row: row).update(
            from: normed[rows.lowerBound + token..<rows.lowerBound + token + 1].pointer, count: size)
        }
        observe?(.feedForward, expert, chunk, input)
        let (gated, upped) = (scratch.gate[part], scratch.up[part])
        gated.assign(input, timesTransposed: gate.view, scratch.products)
        upped.assign(input, timesTransposed: up.view, scratch.products)
        for row in part {
          unsafe RowMath.swiGLU(gated.pointer(row: row), upped.pointer(row: row), count: gated.columns)
        }
        observe?(.feedForwardDown, expert, chunk, gated)
        guard completes else { return }
        output.assign(gated, timesTransposed: down.view, scratch.products)
        let hidden = states.matrix[rows]
        for (row, (token, weight)) in tokens.enumerated() {
          unsafe RowMath.add(output.pointer(row: row), times: weight, to: hidden.pointer(row: token), count: size)
        }
      }
    }
  }
}

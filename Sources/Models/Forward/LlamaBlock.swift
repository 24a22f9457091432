import Bytes
import Tensors

/// One transformer block's weights in F32, in buffers that the next block's replace. Experts are not among them: see
/// `ExpertLayer`.
struct LlamaBlock: Sendable {
  private let weights: [String: Matrix]
  private let parameters: LlamaParameters

  init(_ parameters: LlamaParameters) throws(InputError) {
    self.parameters = parameters
    var weights: [String: Matrix] = [:]
    for (part, dimensions) in parameters.layerTensors where dimensions.count < 3 {
      weights[part] = try Matrix(rows: dimensions.count == 1 ? 1 : dimensions[0], columns: dimensions.last!)
    }
    self.weights = weights
  }

  /// Reads block `layer` of `model`.
  func load(_ layer: Int, of model: ModelSource, jobs: Int) throws {
    for (part, matrix) in weights {
      guard let tensor = model["blk.\(layer).\(part)"] else { continue }
      try WeightDecoder.decode(tensor, into: matrix.view, jobs: jobs)
    }
  }

  /// Reads one tensor of block `layer` again; nothing when it is none that is held, as experts' stacks are.
  func load(_ name: String, _ layer: Int, of model: ModelSource, jobs: Int) throws {
    for (part, matrix) in weights where name == "blk.\(layer).\(part)" {
      guard let tensor = model[name] else { continue }
      try WeightDecoder.decode(tensor, into: matrix.view, jobs: jobs)
    }
  }

  private func weight(_ part: String) -> MatrixView { weights[part]!.view }

  /// Room for one chunk's intermediate values.
  struct Scratch: Sendable {
    /// Queries that attend together; a block's scores stay in the cache.
    static let queryBlock = 128

    let normed, query, key, value, attended, scores, gate, up: Matrix
    /// What an expert adds to its tokens; no rows in a dense model.
    let expertOutput: Matrix

    init(_ parameters: LlamaParameters, tokens: Int) throws(InputError) {
      normed = try Matrix(rows: tokens, columns: parameters.hiddenSize)
      query = try Matrix(rows: tokens, columns: parameters.querySize)
      key = try Matrix(rows: tokens, columns: parameters.keyValueSize)
      value = try Matrix(rows: tokens, columns: parameters.keyValueSize)
      attended = try Matrix(rows: tokens, columns: parameters.querySize)
      scores = try Matrix(rows: min(tokens, Scratch.queryBlock), columns: tokens)
      gate = try Matrix(rows: tokens, columns: parameters.feedForwardSize)
      up = try Matrix(rows: tokens, columns: parameters.feedForwardSize)
      expertOutput = try Matrix(rows: parameters.expertCount > 0 ? tokens : 0, columns: parameters.hiddenSize)
    }

    var tokens: Int { normed.rows }
  }

  /// `h += attention(norm(h))` for the hidden states `h` (tokens, hiddenSize) of one chunk.
  func attend(
    _ hidden: MatrixView, rope: RopeTable, _ scratch: Scratch, observe: ((LinearInput, MatrixView) -> Void)? = nil
  ) {
    let rows = 0..<hidden.rows
    let normed = scratch.normed[rows]
    norm(hidden, "attn_norm.weight", into: normed)
    observe?(.attention, normed)
    let (query, key, value) = (scratch.query[rows], scratch.key[rows], scratch.value[rows])
    project(normed, "attn_q", into: query)
    project(normed, "attn_k", into: key)
    project(normed, "attn_v", into: value)
    rotate(query, heads: parameters.headCount, rope)
    rotate(key, heads: parameters.keyValueHeadCount, rope)
    let attended = scratch.attended[rows]
    attend(query, key, value, scratch.scores, into: attended)
    observe?(.attentionOutput, attended)
    project(attended, "attn_output", into: hidden, adding: true)
  }

  /// `h += feedForward(norm(h))`.
  func feedForward(
    _ hidden: MatrixView, _ scratch: Scratch, observe: ((LinearInput, MatrixView) -> Void)? = nil
  ) {
    let rows = 0..<hidden.rows
    let normed = scratch.normed[rows]
    norm(hidden, "ffn_norm.weight", into: normed)
    observe?(.feedForward, normed)
    let (gate, up) = (scratch.gate[rows], scratch.up[rows])
    project(normed, "ffn_gate", into: gate)
    project(normed, "ffn_up", into: up)
    for row in rows {
      unsafe RowMath.swiGLU(gate.pointer(row: row), up.pointer(row: row), count: parameters.feedForwardSize)
    }
    observe?(.feedForwardDown, gate)
    project(gate, "ffn_down", into: hidden, adding: true)
  }

  /// What the experts of a chunk see, and which are chosen for it.
  func route(_ hidden: MatrixView, normed: MatrixView) throws(InputError) -> ExpertRoutes {
    norm(hidden, "ffn_norm.weight", into: normed)
    let logits = try Matrix(rows: hidden.rows, columns: parameters.expertCount)
    project(normed, "ffn_gate_inp", into: logits.view)
    return ExpertRoutes(logits: logits.view, used: parameters.usedExpertCount)
  }

  /// y (tokens, out) = x (tokens, in) Wᵀ + b, or added to what `y` holds.
  private func project(_ x: MatrixView, _ name: String, into y: MatrixView, adding: Bool = false) {
    y.assign(x, timesTransposed: weight(name + ".weight"), keeping: adding ? 1 : 0)
    guard let bias = weights[name + ".bias"]?.view else { return }
    for row in 0..<y.rows { unsafe RowMath.add(bias.pointer, to: y.pointer(row: row), count: y.columns) }
  }

  private func norm(_ x: MatrixView, _ name: String, into y: MatrixView) {
    let weight = weight(name)
    for row in 0..<x.rows {
      unsafe RowMath.rmsNorm(
        x.pointer(row: row), weight.pointer, epsilon: Float(parameters.normEpsilon), into: y.pointer(row: row),
        count: x.columns)
    }
  }

  private func rotate(_ x: MatrixView, heads: Int, _ rope: RopeTable) {
    let (cosines, sines) = (rope.cosines.view, rope.sines.view)
    for row in 0..<x.rows {
      unsafe RowMath.rotate(
        x.pointer(row: row), heads: heads, headSize: parameters.headSize, cosines: cosines.pointer(row: row),
        sines: sines.pointer(row: row))
    }
  }

  /// Causal attention, head by head: `softmax(q kᵀ / sqrt(headSize)) v`, row `i` seeing rows `0...i`, or the last
  /// `slidingWindow` of them; several query heads share a key head.
  private func attend(
    _ query: MatrixView, _ key: MatrixView, _ value: MatrixView, _ scores: Matrix, into attended: MatrixView
  ) {
    let size = parameters.headSize
    let group = parameters.headCount / parameters.keyValueHeadCount
    let scale = 1 / Float(size).squareRoot()
    let reach = parameters.slidingWindow ?? query.rows
    for head in 0..<parameters.headCount {
      let columns = head * size..<(head + 1) * size
      let shared = head / group * size..<(head / group + 1) * size
      var first = 0
      while first < query.rows {
        let block = first..<min(query.rows, first + Scratch.queryBlock)
        let keys = max(0, first + 1 - reach)..<block.upperBound
        let window = scores[0..<block.count, 0..<keys.count]
        window.assign(query[block, columns], timesTransposed: key[keys, shared], scale: scale)
        for row in 0..<block.count {
          let seen = max(0, first + row + 1 - reach)...first + row
          let (before, count) = (seen.lowerBound - keys.lowerBound, seen.count)
          let pointer = unsafe window.pointer(row: row)
          unsafe pointer.update(repeating: 0, count: before)
          unsafe RowMath.softmax(pointer + before, count: count)
          unsafe (pointer + before + count).update(repeating: 0, count: window.columns - before - count)
        }
        attended[block, columns].assign(window, times: value[keys, shared])
        first = block.upperBound
      }
    }
  }
}

import Bytes
import Tensors

/// One transformer block's weights, in buffers that the next block's replace. Experts are not among them: see
/// `ExpertLayer`.
struct LlamaBlock: Sendable {
  private let matrices: [String: PackedMatrix]
  private let vectors: [String: Matrix]
  private let parameters: LlamaParameters

  /// - Parameter arithmetic: of the projections. Experts are chosen in F32 all the same.
  init(_ parameters: LlamaParameters, _ arithmetic: Arithmetic) throws(InputError) {
    self.parameters = parameters
    var (matrices, vectors): ([String: PackedMatrix], [String: Matrix]) = ([:], [:])
    for (part, dimensions) in parameters.layerTensors {
      switch dimensions.count {
      case 1: vectors[part] = try Matrix(rows: 1, columns: dimensions[0])
      case 2:
        matrices[part] = try PackedMatrix(
          rows: dimensions[0], columns: dimensions[1], arithmetic: part == LlamaBlock.router ? .f32 : arithmetic)
      default: break
      }
    }
    (self.matrices, self.vectors) = (matrices, vectors)
  }

  private static let router = "ffn_gate_inp.weight"

  /// Of the weights of a block of such a model.
  static func byteCount(_ parameters: LlamaParameters) -> Int {
    parameters.layerTensors.reduce(0) { sum, tensor in
      tensor.dimensions.count < 3 ? sum + 4 * tensor.dimensions.reduce(1, *) : sum
    }
  }

  /// Reads block `layer` of `model`.
  func load(_ layer: Int, of model: ModelSource, jobs: Int) throws {
    for (part, matrix) in matrices {
      guard let tensor = model["blk.\(layer).\(part)"] else { continue }
      try WeightDecoder.decode(tensor, rows: 0..<tensor.rows, into: matrix, jobs: jobs)
    }
    for (part, vector) in vectors {
      guard let tensor = model["blk.\(layer).\(part)"] else { continue }
      try WeightDecoder.decode(tensor, into: vector.view, jobs: 1)
    }
  }

  /// Reads one tensor of block `layer` again; nothing when it is none that is held, as experts' stacks are.
  func load(_ name: String, _ layer: Int, of model: ModelSource, jobs: Int) throws {
    for (part, matrix) in matrices where name == "blk.\(layer).\(part)" {
      guard let tensor = model[name] else { continue }
      try WeightDecoder.decode(tensor, rows: 0..<tensor.rows, into: matrix, jobs: jobs)
    }
    for (part, vector) in vectors where name == "blk.\(layer).\(part)" {
      guard let tensor = model[name] else { continue }
      try WeightDecoder.decode(tensor, into: vector.view, jobs: 1)
    }
  }

  /// Room for one chunk's intermediate values.
  struct Scratch: Sendable {
    /// Queries that attend together; a block's scores stay in the cache.
    static let queryBlock = 96

    let products: ProductScratch
    /// The keys of one head, (tokens, headSize), and its values, (headSize, tokens).
    let packedKey, packedValue: PackedMatrix
    let normed, query, key, value, attended, scores, gate, up: Matrix
    /// What an expert adds to its tokens; no rows in a dense model.
    let expertOutput: Matrix

    init(_ parameters: LlamaParameters, tokens: Int) throws(InputError) {
      products = try ProductScratch()
      packedKey = try PackedMatrix(rows: tokens, columns: parameters.headSize)
      packedValue = try PackedMatrix(rows: parameters.headSize, columns: tokens)
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

    /// Of the room for a chunk of `tokens` tokens.
    static func byteCount(_ parameters: LlamaParameters, tokens: Int) -> Int {
      let hidden = parameters.hiddenSize * (parameters.expertCount > 0 ? 2 : 1)
      let attention = 2 * parameters.querySize + 2 * parameters.keyValueSize + min(tokens, queryBlock)
      return 4 * tokens * (hidden + attention + 2 * parameters.feedForwardSize)
    }
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
    project(normed, "attn_q", into: query, scratch)
    project(normed, "attn_k", into: key, scratch)
    project(normed, "attn_v", into: value, scratch)
    rotate(query, heads: parameters.headCount, rope)
    rotate(key, heads: parameters.keyValueHeadCount, rope)
    let attended = scratch.attended[rows]
    attend(query, key, value, scratch, into: attended)
    observe?(.attentionOutput, attended)
    project(attended, "attn_output", into: hidden, adding: true, scratch)
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
    project(normed, "ffn_gate", into: gate, scratch)
    project(normed, "ffn_up", into: up, scratch)
    for row in rows {
      unsafe RowMath.swiGLU(gate.pointer(row: row), up.pointer(row: row), count: parameters.feedForwardSize)
    }
    observe?(.feedForwardDown, gate)
    project(gate, "ffn_down", into: hidden, adding: true, scratch)
  }

  /// What the experts of a chunk see, and which are chosen for it.
  func route(_ hidden: MatrixView, normed: MatrixView, _ scratch: Scratch) throws(InputError) -> ExpertRoutes {
    norm(hidden, "ffn_norm.weight", into: normed)
    let logits = try Matrix(rows: hidden.rows, columns: parameters.expertCount)
    project(normed, "ffn_gate_inp", into: logits.view, scratch)
    return ExpertRoutes(logits: logits.view, used: parameters.usedExpertCount)
  }

  /// y (tokens, out) = x (tokens, in) Wᵀ + b, or added to what `y` holds.
  private func project(
    _ x: MatrixView, _ name: String, into y: MatrixView, adding: Bool = false, _ scratch: Scratch
  ) {
    y.assign(x, timesTransposed: matrices[name + ".weight"]!.view, adding: adding, scratch.products)
    guard let bias = vectors[name + ".bias"]?.view else { return }
    for row in 0..<y.rows { unsafe RowMath.add(bias.pointer, to: y.pointer(row: row), count: y.columns) }
  }

  private func norm(_ x: MatrixView, _ name: String, into y: MatrixView) {
    let weight = vectors[name]!.view
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
    _ query: MatrixView, _ key: MatrixView, _ value: MatrixView, _ scratch: Scratch, into attended: MatrixView
  ) {
    let size = parameters.headSize
    let group = parameters.headCount / parameters.keyValueHeadCount
    for head in 0..<parameters.headCount {
      if head % group == 0 {
        let shared = head / group * size..<(head / group + 1) * size
        scratch.packedKey.pack(key[0..<key.rows, shared])
        scratch.packedValue.packTransposed(value[0..<value.rows, shared])
      }
      let columns = head * size..<(head + 1) * size
      attendWithHead(query[0..<query.rows, columns], scratch, into: attended[0..<query.rows, columns])
    }
  }

  /// Of one head, whose keys and values are packed.
  private func attendWithHead(_ query: MatrixView, _ scratch: Scratch, into attended: MatrixView) {
    let scale = 1 / Float(query.columns).squareRoot()
    let reach = parameters.slidingWindow ?? query.rows
    for first in stride(from: 0, to: query.rows, by: Scratch.queryBlock) {
      let block = first..<min(query.rows, first + Scratch.queryBlock)
      // From the first key of a panel on.
      let keys = max(0, first + 1 - reach) / PackedMatrix.panelRows * PackedMatrix.panelRows..<block.upperBound
      let window = scratch.scores[0..<block.count, 0..<keys.count]
      window.assign(query[block], timesTransposed: scratch.packedKey[keys], scale: scale, scratch.products)
      for row in 0..<block.count {
        let seen = max(0, first + row + 1 - reach)...first + row
        let (before, count) = (seen.lowerBound - keys.lowerBound, seen.count)
        let pointer = unsafe window.pointer(row: row)
        unsafe pointer.update(repeating: 0, count: before)
        unsafe RowMath.softmax(pointer + before, count: count)
        unsafe (pointer + before + count).update(repeating: 0, count: window.columns - before - count)
      }
      attended[block].assign(
        window, timesTransposed: scratch.packedValue[0..<query.columns, keys], scratch.products)
    }
  }
}

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
    // In a fixed order, so that of several bad tensors the same is named every time.
    for (part, matrix) in matrices.sorted(by: { $0.key < $1.key }) {
      guard let tensor = model["blk.\(layer).\(part)"] else { continue }
      try WeightDecoder.decode(tensor, rows: 0..<tensor.rows, into: matrix, jobs: jobs)
    }
    for (part, vector) in vectors.sorted(by: { $0.key < $1.key }) {
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

    /// What one thread needs. Several work on a chunk where there are fewer chunks than threads.
    struct Thread: Sendable {
      let products: ProductScratch
      let scores: Matrix

      static func byteCount(tokens: Int) -> Int { ProductScratch.byteCount + 4 * min(tokens, queryBlock) * tokens }
    }

    private(set) var threads: [Thread]
    /// The keys of one head, (tokens, headSize), and its values, (headSize, tokens).
    let packedKey, packedValue: PackedMatrix
    let normed, query, key, value, attended, gate, up: Matrix
    /// What an expert adds to its tokens; no rows in a dense model.
    let expertOutput: Matrix

    init(_ parameters: LlamaParameters, tokens: Int, threads count: Int) throws(InputError) {
      threads = []
      for _ in 0..<count {
        let scores = try Matrix(rows: min(tokens, Scratch.queryBlock), columns: tokens)
        threads.append(Thread(products: try ProductScratch(), scores: scores))
      }
      packedKey = try PackedMatrix(rows: tokens, columns: parameters.headSize)
      packedValue = try PackedMatrix(rows: parameters.headSize, columns: tokens)
      normed = try Matrix(rows: tokens, columns: parameters.hiddenSize)
      query = try Matrix(rows: tokens, columns: parameters.querySize)
      key = try Matrix(rows: tokens, columns: parameters.keyValueSize)
      value = try Matrix(rows: tokens, columns: parameters.keyValueSize)
      attended = try Matrix(rows: tokens, columns: parameters.querySize)
      gate = try Matrix(rows: tokens, columns: parameters.feedForwardSize)
      up = try Matrix(rows: tokens, columns: parameters.feedForwardSize)
      expertOutput = try Matrix(rows: parameters.expertCount > 0 ? tokens : 0, columns: parameters.hiddenSize)
    }

    var tokens: Int { normed.rows }
    /// Of its first thread.
    var products: ProductScratch { threads[0].products }

    /// The same room with no more threads.
    func limited(to count: Int) -> Scratch {
      var limited = self
      limited.threads = Array(threads.prefix(count))
      return limited
    }

    /// `body` for every index below `count`, on the threads.
    func forEach(_ count: Int, _ body: @Sendable (Int, Thread) throws -> Void) throws {
      try Parallel.forEachWithWorker(count, jobs: threads.count) { try body($0, threads[$1]) }
    }

    /// `body` for parts of `count` rows, one a thread.
    func forEachPart(of count: Int, _ body: @Sendable (Range<Int>, ProductScratch) throws -> Void) throws {
      let step = max(1, (count + threads.count - 1) / threads.count)
      try forEach((count + step - 1) / step) { part, thread in
        try body(part * step..<min(count, (part + 1) * step), thread.products)
      }
    }

    /// Of the room for a chunk of `tokens` tokens, beside that of its threads.
    static func byteCount(_ parameters: LlamaParameters, tokens: Int) -> Int {
      let hidden = parameters.hiddenSize * (parameters.expertCount > 0 ? 2 : 1)
      let attention = 2 * (parameters.querySize + parameters.keyValueSize + parameters.headSize)
      return 4 * tokens * (hidden + attention + 2 * parameters.feedForwardSize)
    }
  }

  /// `h += attention(norm(h))` for the hidden states `h` (tokens, hiddenSize) of one chunk.
  func attend(
    _ hidden: MatrixView, rope: RopeTable, _ scratch: Scratch, observe: ((LinearInput, MatrixView) -> Void)? = nil
  ) throws {
    let rows = 0..<hidden.rows
    let (normed, attended) = (scratch.normed[rows], scratch.attended[rows])
    let (query, key, value) = (scratch.query[rows], scratch.key[rows], scratch.value[rows])
    try scratch.forEachPart(of: rows.count) { part, products in
      norm(hidden[part], "attn_norm.weight", into: normed[part])
      project(normed[part], "attn_q", into: query[part], products)
      project(normed[part], "attn_k", into: key[part], products)
      project(normed[part], "attn_v", into: value[part], products)
      rotate(query[part], heads: parameters.headCount, from: part.lowerBound, rope)
      rotate(key[part], heads: parameters.keyValueHeadCount, from: part.lowerBound, rope)
    }
    observe?(.attention, normed)
    try attend(query, key, value, scratch, into: attended)
    observe?(.attentionOutput, attended)
    try scratch.forEachPart(of: rows.count) { part, products in
      project(attended[part], "attn_output", into: hidden[part], adding: true, products)
    }
  }

  /// `h += feedForward(norm(h))`; unless it `completes`, only what its linear layers multiply.
  func feedForward(
    _ hidden: MatrixView, _ scratch: Scratch, observe: ((LinearInput, MatrixView) -> Void)? = nil,
    completes: Bool = true
  ) throws {
    let rows = 0..<hidden.rows
    let (normed, gate, up) = (scratch.normed[rows], scratch.gate[rows], scratch.up[rows])
    try scratch.forEachPart(of: rows.count) { part, products in
      norm(hidden[part], "ffn_norm.weight", into: normed[part])
      project(normed[part], "ffn_gate", into: gate[part], products)
      project(normed[part], "ffn_up", into: up[part], products)
      for row in part {
        unsafe RowMath.swiGLU(gate.pointer(row: row), up.pointer(row: row), count: parameters.feedForwardSize)
      }
    }
    observe?(.feedForward, normed)
    observe?(.feedForwardDown, gate)
    guard completes else { return }
    try scratch.forEachPart(of: rows.count) { part, products in
      project(gate[part], "ffn_down", into: hidden[part], adding: true, products)
    }
  }

  /// What the experts of a chunk see, and which are chosen for it.
  func route(_ hidden: MatrixView, normed: MatrixView, _ scratch: Scratch) throws(InputError) -> ExpertRoutes {
    norm(hidden, "ffn_norm.weight", into: normed)
    let logits = try Matrix(rows: hidden.rows, columns: parameters.expertCount)
    project(normed, "ffn_gate_inp", into: logits.view, scratch.products)
    return ExpertRoutes(logits: logits.view, used: parameters.usedExpertCount)
  }

  /// y (tokens, out) = x (tokens, in) Wᵀ + b, or added to what `y` holds.
  private func project(
    _ x: MatrixView, _ name: String, into y: MatrixView, adding: Bool = false, _ products: ProductScratch
  ) {
    y.assign(x, timesTransposed: matrices[name + ".weight"]!.view, adding: adding, products)
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

  /// - Parameter first: the position of the first row.
  private func rotate(_ x: MatrixView, heads: Int, from first: Int, _ rope: RopeTable) {
    let (cosines, sines) = (rope.cosines.view, rope.sines.view)
    for row in 0..<x.rows {
      unsafe RowMath.rotate(
        x.pointer(row: row), heads: heads, headSize: parameters.headSize, cosines: cosines.pointer(row: first + row),
        sines: sines.pointer(row: first + row))
    }
  }

  /// Causal attention, head by head: `softmax(q kᵀ / sqrt(headSize)) v`, row `i` seeing rows `0...i`, or the last
  /// `slidingWindow` of them; several query heads share a key head.
  private func attend(
    _ query: MatrixView, _ key: MatrixView, _ value: MatrixView, _ scratch: Scratch, into attended: MatrixView
  ) throws {
    let size = parameters.headSize
    let group = parameters.headCount / parameters.keyValueHeadCount
    for head in 0..<parameters.headCount {
      if head % group == 0 {
        let shared = head / group * size..<(head / group + 1) * size
        scratch.packedKey.pack(key[0..<key.rows, shared])
        scratch.packedValue.packTransposed(value[0..<value.rows, shared])
      }
      let columns = head * size..<(head + 1) * size
      try attendWithHead(query[0..<query.rows, columns], scratch, into: attended[0..<query.rows, columns])
    }
  }

  /// Of one head, whose keys and values are packed.
  private func attendWithHead(_ query: MatrixView, _ scratch: Scratch, into attended: MatrixView) throws {
    let scale = 1 / Float(query.columns).squareRoot()
    let reach = parameters.slidingWindow ?? query.rows
    try scratch.forEach((query.rows + Scratch.queryBlock - 1) / Scratch.queryBlock) { number, thread in
      let first = number * Scratch.queryBlock
      let block = first..<min(query.rows, first + Scratch.queryBlock)
      // From the first key of a panel on.
      let keys = max(0, first + 1 - reach) / PackedMatrix.panelRows * PackedMatrix.panelRows..<block.upperBound
      let window = thread.scores[0..<block.count, 0..<keys.count]
      window.assign(query[block], timesTransposed: scratch.packedKey[keys], scale: scale, thread.products)
      for row in 0..<block.count {
        let seen = max(0, first + row + 1 - reach)...first + row
        let (before, count) = (seen.lowerBound - keys.lowerBound, seen.count)
        let pointer = unsafe window.pointer(row: row)
        unsafe pointer.update(repeating: 0, count: before)
        unsafe RowMath.softmax(pointer + before, count: count)
        unsafe (pointer + before + count).update(repeating: 0, count: window.columns - before - count)
      }
      attended[block].assign(
        window, timesTransposed: scratch.packedValue[0..<query.columns, keys], thread.products)
    }
  }
}

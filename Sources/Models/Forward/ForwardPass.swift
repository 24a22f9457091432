import Bytes
public import Tensors

/// A Llama computed in F32, or with projections in BF16, a layer at a time over all chunks of a text, so that weights are read once and no more than
/// one layer of them is in memory.
///
/// ```swift
/// let pass = try ForwardPass(model, jobs: 8)
/// var states = try pass.embed(chunks)
/// for layer in 0..<pass.layerCount { try pass.apply(layer: layer, to: states) }
/// try pass.logits(of: [511], in: states, into: tile)
/// ```
///
/// Chunks are computed in parallel, each by one thread or, where there are fewer chunks than threads, by several; results do
/// not depend on `jobs`. Two passes may share their buffers and be driven side by side. A pass is not to be used from two
/// threads at once.
public final class ForwardPass {
  public let model: ModelSource
  public let jobs: Int
  public let arithmetic: Arithmetic
  private let buffers: Buffers
  private let outputNorm: Matrix
  private let ropeDivisors: [Float]?
  private var rope: RopeTable?
  private var residentOutput: PackedMatrix?

  /// Rows of logits that are computed together.
  public static let rowsPerTile = 512

  /// Up to this many bytes of F32 the output matrix is kept in memory, above it is decoded for every tile of rows.
  private let residentLimit: Int

  /// - Parameters:
  ///   - jobs: threads.
  ///   - arithmetic: of products with weights; attention and all that is not a product are in F32.
  ///   - other: a pass whose buffers are used too, if its model computes alike.
  ///   - residentOutput: up to this many bytes in F32 the output matrix is kept in memory.
  /// - Throws: `NONFINITE` for frequencies that are no positive numbers; what reading throws.
  public init(
    _ model: ModelSource, jobs: Int, arithmetic: Arithmetic = .f32, sharing other: ForwardPass? = nil,
    residentOutput: Int = 256 << 20
  ) throws {
    self.model = model
    self.jobs = max(1, jobs)
    self.arithmetic = arithmetic
    residentLimit = residentOutput
    let parameters = model.parameters
    if let other, other.model.parameters.computesAlike(parameters), other.arithmetic == arithmetic {
      buffers = other.buffers
    } else {
      buffers = try Buffers(parameters, arithmetic)
    }
    outputNorm = try Matrix(rows: 1, columns: parameters.hiddenSize)
    if let tensor = model["output_norm.weight"] { try WeightDecoder.decode(tensor, into: outputNorm.view, jobs: 1) }
    ropeDivisors = try model["rope_freqs.weight"].map { tensor in
      let divisors = try Matrix(rows: 1, columns: tensor.columns)
      try WeightDecoder.decode(tensor, into: divisors.view, jobs: 1)
      guard divisors.view.values.allSatisfy({ $0.isFinite && $0 > 0 }) else {
        throw InputError(.nonFinite, "a rotary divisor is no positive number", subject: tensor.name)
      }
      return divisors.view.values
    }
  }

  public var parameters: LlamaParameters { model.parameters }
  /// The products so far, of all passes that share this one's buffers.
  public var work: ProductWork { buffers.work }
  public var layerCount: Int { parameters.layerCount }

  /// Bytes that `tokens` tokens need in hidden states; twice as many where experts see the states of all chunks in turn.
  public static func stateBytes(_ parameters: LlamaParameters, tokens: Int) -> Int {
    tokens * parameters.hiddenSize * MemoryLayout<Float>.stride * (parameters.expertCount > 0 ? 2 : 1)
  }

  /// Bytes that passes sharing their buffers need beside hidden states, resident outputs and tiles of logits: a layer's
  /// weights, every thread's scratch for a chunk of `context` tokens, and pieces of the output matrix.
  static func bufferBytes(_ parameters: LlamaParameters, context: Int, workers: Int, jobs: Int) -> Int {
    // Plain and packed. Here, and where weights are decoded, there may be more threads than chunks.
    let output = 2 * Buffers.outputRows(parameters) * parameters.hiddenSize * jobs
    let normed = rowsPerTile * parameters.hiddenSize
    let expert = parameters.expertCount > 0 ? 3 * parameters.feedForwardSize * parameters.hiddenSize : 0
    let decoding = jobs * WeightDecoder.bufferSize(max(parameters.hiddenSize, parameters.feedForwardSize))
    return LlamaBlock.byteCount(parameters) + 4 * (output + normed + expert + decoding)
      + Buffers.threads(jobs) * LlamaBlock.Scratch.Thread.byteCount(tokens: context)
      + workers * LlamaBlock.Scratch.byteCount(parameters, tokens: context)
  }

  /// The embeddings of `chunks`, whose tokens have positions from 0.
  /// - Throws: `BOUNDS` for an id that the vocabulary has not.
  public func embed(_ chunks: [[Int32]]) throws -> HiddenStates {
    let states = try HiddenStates(chunkLengths: chunks.map(\.count), columns: parameters.hiddenSize)
    try embed(chunks, into: states)
    return states
  }

  /// The same into the first rows of `states`' chunks, which are at least as many and as long.
  func embed(_ chunks: [[Int32]], into states: HiddenStates) throws {
    guard let table = model["token_embd.weight"] else {
      throw InputError(.missing, "the tensor is missing", subject: "token_embd.weight")
    }
    for id in chunks.lazy.joined() where id < 0 || Int(id) >= table.rows {
      throw InputError(
        .bounds, "token \(id) is not in the vocabulary of \(table.rows)", subject: table.name,
        remedy: "use the tokenizer that belongs to the model")
    }
    try Parallel.forEach(chunks.count, jobs: jobs) { chunk in
      let rows = states.matrix[states.chunks[chunk]]
      for (row, id) in chunks[chunk].enumerated() {
        try WeightDecoder.decode(table, rows: Int(id)..<Int(id) + 1, into: rows[row..<row + 1], jobs: 1)
      }
    }
    try prepareRope(chunks.map(\.count).max() ?? 0)
  }

  /// Passes `states` through block `layer`, in place.
  /// - Parameter observe: sees what the block's linear layers multiply.
  public func apply(layer: Int, to states: HiddenStates, observe: LinearObserver? = nil) throws {
    try load(layer: layer)
    readAhead(layer: layer + 1)
    try applyLoaded(layer, to: states, observe: observe)
  }

  /// Has the system read what is needed next while this layer is computed: a layer's weights as they are stored, or after the
  /// last the output matrix. They wait in the system's memory, which takes it back where it is short.
  private func readAhead(layer: Int) {
    if layer == layerCount { return residentOutput == nil ? model[outputName]?.readAhead() ?? () : () }
    for (part, _) in parameters.layerTensors { model["blk.\(layer).\(part)"]?.readAhead() }
  }

  /// Brings block `layer` into the buffers, where it stays until another is loaded by this pass or one that shares them.
  public func load(layer: Int) throws {
    precondition(layer >= 0 && layer < layerCount, "no such layer")
    try buffers.block.load(layer, of: model, jobs: jobs)
  }

  /// Passes `states` through block `layer`, which was loaded last.
  public func applyLoaded(_ layer: Int, to states: HiddenStates, observe: LinearObserver? = nil) throws {
    try applyLoaded(layer, of: model, to: states, observe: observe)
  }

  /// Shows `observe` what the linear layers of block `layer`, which was loaded last, multiply. The product with the last of
  /// them is spared.
  /// - Parameter states: are not what comes after the block then, and of no use.
  public func observeLoaded(_ layer: Int, spending states: HiddenStates, _ observe: @escaping LinearObserver) throws {
    try applyLoaded(layer, of: model, to: states, observe: observe, completes: false)
  }

  /// Passes `states` through the loaded block with one of its tensors replaced by `tensor`, which has the same name and
  /// shape; the block is itself again afterwards.
  func applyLoaded(_ layer: Int, replacing tensor: Tensor, to states: HiddenStates) throws {
    let other = try model.replacing(tensor)
    try buffers.block.load(tensor.name, layer, of: other, jobs: jobs)
    try applyLoaded(layer, of: other, to: states)
    try buffers.block.load(tensor.name, layer, of: model, jobs: jobs)
  }

  private func applyLoaded(
    _ layer: Int, of model: ModelSource, to states: HiddenStates, observe: LinearObserver? = nil, completes: Bool = true
  ) throws {
    let longest = states.chunks.map(\.count).max() ?? 0
    guard longest > 0 else { return }
    let workers = min(jobs, states.chunks.count)
    let threads = jobs / workers
    try buffers.prepare(workers: workers, threads: threads, tokens: longest)
    try prepareRope(longest)
    guard let rope else { return }
    let (block, scratch) = (buffers.block, buffers.scratch.map { $0.limited(to: threads) })
    let isDense = buffers.experts == nil
    try Parallel.forEachWithWorker(states.chunks.count, jobs: jobs) { chunk, worker in
      let hidden = states.matrix[states.chunks[chunk]]
      let see = observe.map { observe in { observe($0, nil, chunk, $1) } }
      try block.attend(hidden, rope: rope, scratch[worker], observe: see)
      if isDense { try block.feedForward(hidden, scratch[worker], observe: see, completes: completes) }
    }
    try buffers.experts?.apply(
      layer: layer, of: model, block, to: states, scratch, jobs: jobs, observe: observe, completes: completes)
  }

  /// Replaces `states` after the last layer by what the output matrix multiplies.
  public func normalizeOutput(_ states: HiddenStates) throws {
    let (weight, epsilon, size) = (outputNorm, Float(parameters.normEpsilon), parameters.hiddenSize)
    try Parallel.forEach(states.chunks.count, jobs: jobs) { chunk in
      let rows = states.matrix[states.chunks[chunk]]
      for row in 0..<rows.rows {
        unsafe RowMath.rmsNorm(
          rows.pointer(row: row), weight.view.pointer, epsilon: epsilon, into: rows.pointer(row: row), count: size)
      }
    }
  }

  /// The name of the output matrix: that of the embedding where they are one.
  public var outputName: String { model["output.weight"] == nil ? "token_embd.weight" : "output.weight" }

  /// Writes the logits of `rows` of `states` after the last layer into `tile`'s first rows (at least rows.count,
  /// vocabulary).
  /// - Parameter rows: at most `rowsPerTile`.
  public func logits(of rows: some Collection<Int>, in states: HiddenStates, into tile: Matrix) throws {
    precondition(rows.count <= ForwardPass.rowsPerTile && rows.count <= tile.rows, "too many rows for a tile")
    precondition(tile.columns == parameters.vocabularySize, "a tile of another width")
    guard let output = model["output.weight"] ?? model["token_embd.weight"] else {
      throw InputError(.missing, "the tensor is missing", subject: "output.weight")
    }
    let normed = buffers.normed[0..<rows.count]
    for (index, row) in rows.enumerated() {
      unsafe RowMath.rmsNorm(
        states.matrix[row..<row + 1].pointer, outputNorm.view.pointer, epsilon: Float(parameters.normEpsilon),
        into: normed.pointer(row: index), count: parameters.hiddenSize)
    }
    if residentOutput == nil, output.shape.elementCount * 4 <= residentLimit {
      let matrix = try PackedMatrix(rows: output.rows, columns: output.columns, arithmetic: arithmetic)
      try WeightDecoder.decode(output, rows: 0..<output.rows, into: matrix, jobs: jobs)
      residentOutput = matrix
    }
    let step = buffers.outputRows
    let (resident, count) = (residentOutput, rows.count)
    let workers = try buffers.outputWorkers(jobs, packing: resident == nil)
    try Parallel.forEachWithWorker((output.rows + step - 1) / step, jobs: jobs) { piece, worker in
      let part = piece * step..<min(output.rows, (piece + 1) * step)
      let weight: PackedView
      if let resident {
        weight = resident[part]
      } else {
        try workers[worker].load(part, of: output)
        weight = workers[worker].packed[0..<part.count]
      }
      tile[0..<count, part].assign(normed, timesTransposed: weight, workers[worker].products)
    }
  }

  private func prepareRope(_ positions: Int) throws(InputError) {
    if let rope, rope.cosines.rows >= positions { return }
    rope = try RopeTable(
      positions: positions,
      frequencies: parameters.ropeScaling.frequencies(
        theta: parameters.ropeTheta, headSize: parameters.headSize, divisors: ropeDivisors),
      magnitude: parameters.ropeScaling.magnitude)
  }
}

extension LlamaParameters {
  /// Whether a block of the one may be computed in the buffers of the other: every tensor has the same shape, and what is
  /// computed with beside tensors is the same.
  package func computesAlike(_ other: LlamaParameters) -> Bool {
    (hiddenSize, feedForwardSize, headCount, keyValueHeadCount, headSize, vocabularySize)
      == (
        other.hiddenSize, other.feedForwardSize, other.headCount, other.keyValueHeadCount, other.headSize,
        other.vocabularySize
      ) && hasAttentionBias == other.hasAttentionBias && hasFeedForwardBias == other.hasFeedForwardBias
      && (expertCount, usedExpertCount) == (other.expertCount, other.usedExpertCount)
      && (slidingWindow, normEpsilon) == (other.slidingWindow, other.normEpsilon)
  }
}

/// One layer's weights and the scratch of each thread; shared by passes that are driven in turn.
private final class Buffers {
  let block: LlamaBlock
  let experts: ExpertLayer?
  let normed: Matrix
  /// Rows of the output matrix that are multiplied at a time.
  let outputRows: Int
  private let parameters: LlamaParameters
  private let arithmetic: Arithmetic
  private(set) var scratch: [LlamaBlock.Scratch] = []
  private var outputs: [OutputScratch] = []
  /// Of scratch that is no more.
  private var past = ProductWork()

  init(_ parameters: LlamaParameters, _ arithmetic: Arithmetic) throws(InputError) {
    (self.parameters, self.arithmetic) = (parameters, arithmetic)
    block = try LlamaBlock(parameters, arithmetic)
    experts = parameters.expertCount > 0 ? try ExpertLayer(parameters, arithmetic) : nil
    normed = try Matrix(rows: ForwardPass.rowsPerTile, columns: parameters.hiddenSize)
    outputRows = Buffers.outputRows(parameters)
  }

  static func outputRows(_ parameters: LlamaParameters) -> Int {
    max(64, min(4096, (1 << 20) / parameters.hiddenSize) & ~63)
  }

  var work: ProductWork {
    (scratch.flatMap(\.threads).map(\.products) + outputs.map(\.products)).reduce(into: past) { $0.merge($1.work) }
  }

  /// - Parameter threads: of each worker. Those of all are never more than `threads(jobs)`.
  func prepare(workers: Int, threads: Int, tokens: Int) throws(InputError) {
    let used = scratch.prefix(workers)
    let total = scratch.reduce(0) { $0 + $1.threads.count } + (workers - used.count) * threads
    if used.contains(where: { $0.tokens < tokens || $0.threads.count < threads })
      || total > Buffers.threads(workers * threads)
    {
      past = work
      (scratch, outputs) = ([], [])
    }
    while scratch.count < workers {
      scratch.append(try LlamaBlock.Scratch(parameters, tokens: tokens, threads: threads))
    }
  }

  /// For which there is room at most: walks turn between groups of few chunks and of many.
  static func threads(_ jobs: Int) -> Int { 2 * jobs }

  /// - Parameter packing: whether the workers read weights of their own.
  func outputWorkers(_ count: Int, packing: Bool) throws(InputError) -> [OutputScratch] {
    if packing, outputs.contains(where: { $0.packed.rows == 0 }) {
      past = work
      (scratch, outputs) = ([], [])
    }
    while outputs.count < count {
      outputs.append(
        try OutputScratch(rows: packing ? outputRows : 0, columns: parameters.hiddenSize, arithmetic: arithmetic))
    }
    return outputs
  }
}

/// What a thread needs to multiply with rows of the output matrix.
private struct OutputScratch: Sendable {
  let products: ProductScratch
  let plain: Matrix
  let packed: PackedMatrix

  init(rows: Int, columns: Int, arithmetic: Arithmetic) throws(InputError) {
    products = try ProductScratch()
    plain = try Matrix(rows: rows, columns: columns)
    packed = try PackedMatrix(rows: rows, columns: columns, arithmetic: arithmetic)
  }

  func load(_ rows: Range<Int>, of output: Tensor) throws {
    let part = plain[0..<rows.count]
    try WeightDecoder.decode(output, rows: rows, into: part, jobs: 1)
    packed.pack(part)
  }
}

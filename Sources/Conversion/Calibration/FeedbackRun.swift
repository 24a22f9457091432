import Bytes
import Models
import Quantization
import Tensors

/// How weights are rounded with error feedback.
public struct FeedbackOptions: Hashable, Sendable {
  /// Added to the diagonal of a Hessian, as a share of its mean.
  public var damping = 0.01
  /// Columns by falling importance instead of from left to right.
  public var isOrdered = true
  /// Every block sees the text as the rounded blocks before it pass it on.
  public var isSequential = true
  /// How far targets move to make good what the blocks before got wrong; needs `isSequential`. Those of experts stay: the same
  /// tokens need not choose them when nothing is rounded.
  public var asymmetry = 0.25
  /// Scales are moved after ggml's search.
  public var refines = true
  /// Weights of more columns than this share of the tokens that they see are rounded plainly.
  public var tokensPerColumn = 1.0

  public init() {}
}

/// Where error feedback learns what the layers of a model see.
public enum FeedbackSource: Sendable {
  /// From a text, which is walked when the weights are rounded.
  case text(CalibrationText)
  /// From Hessians that were summed before, over the model as it is.
  case stored(HessianFolder)
}

/// Rounds the linear weights of a model block by block with error feedback.
///
/// In memory are the states of all calibration chunks (half as much again where targets move), the inputs of some thousand
/// tokens, and one block's Hessians and weights; with stored Hessians no text is walked. The results depend neither on `jobs`
/// nor on the instruction set.
struct FeedbackRun {
  let model: ModelSource
  /// The type of every tensor that is rounded, by name; those of the blocks with feedback, the embedding plainly.
  let types: [String: DType]
  let source: FeedbackSource
  let options: FeedbackOptions
  let jobs: Int

  /// Rows of a weight that are rounded together.
  private static let rowsPerPanel = 64

  /// One block's weights, rounded.
  struct Layer {
    var index: Int
    var tensors: [Tensor]
    /// What was rounded plainly.
    var fallbacks: [FeedbackFallback] = []
  }

  /// - Parameters:
  ///   - layers: blocks to round; all of them where a text is walked.
  ///   - finished: gives a block that was rounded before, by the same run; the text only passes through it.
  ///   - checkpoints: of a text that is walked.
  ///   - deliver: called block after block.
  /// - Throws: `NONFINITE` when the model computes no number for the text; what reading throws.
  func run(
    layers: Range<Int>? = nil, progress: ProgressHandler?, finished: (Int) throws -> Layer? = { _ in nil },
    checkpoints: FeedbackCheckpoints? = nil, deliver: (Layer) throws -> Void
  ) throws {
    let blocks = layers ?? 0..<model.parameters.layerCount
    var rounded = 0
    /// Blocks that were rounded before come first, and take next to nothing.
    func report(done: Int) {
      progress?(
        Progress(
          "rounding with feedback", unit: .steps, done: done, total: blocks.count,
          work: .init(done: Double(rounded), total: Double(rounded + blocks.count - done))))
    }
    func ended(_ layer: Layer, isKnown: Bool = false) throws {
      try deliver(layer)
      if !isKnown { rounded += 1 }
      report(done: layer.index + 1 - blocks.lowerBound)
    }
    report(done: 0)
    switch source {
    case .text(let text): try walk(text, finished, checkpoints, ended)
    case .stored(let folder):
      for layer in blocks {
        if let known = try finished(layer) {
          try ended(known, isKnown: true)
        } else {
          var hessians = try folder.hessians(layer: layer, model.parameters)
          try ended(try round(layer, &hessians))
        }
      }
    }
  }

  private func walk(
    _ text: CalibrationText, _ finished: (Int) throws -> Layer?, _ checkpoints: FeedbackCheckpoints?,
    _ deliver: (Layer, _ isKnown: Bool) throws -> Void
  ) throws {
    let pass = try ForwardPass(model, jobs: jobs)
    let followsDrift = options.isSequential && options.asymmetry > 0
    // How far inputs drift is told from every second chunk; those come first.
    let order = text.chunks.indices.filter { $0 % 2 == 0 } + text.chunks.indices.filter { $0 % 2 == 1 }
    let states = try pass.embed(followsDrift ? order.map { text.chunks[$0] } : text.chunks)
    let undrifted = followsDrift ? try states.selecting(0..<(order.count + 1) / 2).copy() : nil
    let kept = [states] + (undrifted.map { [$0] } ?? [])
    let first = try checkpoints?.restore(kept) ?? 0
    for layer in 0..<pass.layerCount {
      if layer < first {
        guard let known = try finished(layer) else {
          throw InputError(
            .checksum, "hidden states were kept that are behind it, but not itself", subject: "block \(layer)",
            remedy: "start again with --no-resume")
        }
        try deliver(known, true)
        continue
      }
      let rounded: Layer
      let known = try finished(layer)
      if let known {
        if let undrifted { try pass.apply(layer: layer, to: undrifted) }
        if !options.isSequential { try pass.apply(layer: layer, to: states) }
        rounded = known
      } else {
        var hessians = try LayerHessians(
          layer: layer, of: pass, states, context: text.context, advances: !options.isSequential, undrifted: undrifted)
        rounded = try round(layer, &hessians)
      }
      if options.isSequential {
        try ForwardPass(model.replacing(rounded.tensors), jobs: jobs, sharing: pass).apply(layer: layer, to: states)
      }
      try deliver(rounded, known != nil)
      if layer + 1 < pass.layerCount { try checkpoints?.reached(layer: layer + 1, kept) }
    }
  }

  /// - Parameter hessians: each is let go of when the weights that it is for are rounded.
  private func round(_ layer: Int, _ hessians: inout LayerHessians) throws -> Layer {
    var result = Layer(index: layer, tensors: [])
    let scratch = try (0..<max(1, jobs)).map { _ in try ProductScratch() }
    for input in LinearInput.allCases {
      let hasExperts = model.parameters.hasExperts(input)
      let matrices = hasExperts ? model.parameters.expertCount : 1
      let weights = input.weights(layer: layer, hasExperts: hasExperts).compactMap { name -> (Tensor, DType)? in
        if let tensor = model[name], let type = types[name] { (tensor, type) } else { nil }
      }
      var bytes = weights.map { _ in [UInt8]() }
      for matrix in 0..<matrices {
        let key = LayerInputs.Key(input: input, expert: hasExperts ? matrix : nil)
        var factors = SharedFactors(hessians.take(key), options, jobs)
        for (index, (tensor, type)) in weights.enumerated() {
          let size = tensor.rows / matrices
          let rows = matrix * size..<(matrix + 1) * size
          switch try factors[ColumnGroups(type)] {
          case .factor(let factor):
            bytes[index] += try round(
              tensor, rows, ErrorFeedback(factor, type: type, refines: options.refines), scratch)
          case .none(let reason):
            result.fallbacks.append(FeedbackFallback(tensor: tensor.name, expert: key.expert, reason: reason))
            bytes[index] += try round(tensor, rows, plainlyAs: type, factors.importance(tensor.columns))
          }
        }
      }
      for ((tensor, type), bytes) in zip(weights, bytes) {
        result.tensors.append(
          try Tensor(name: tensor.name, dtype: type, shape: tensor.shape, source: MemoryRows(bytes)))
      }
    }
    return result
  }

  private func round(
    _ tensor: Tensor, _ rows: Range<Int>, _ feedback: ErrorFeedback, _ scratch: [ProductScratch]
  ) throws -> [UInt8] {
    let step = FeedbackRun.rowsPerPanel
    let panels = try Parallel.map((rows.count + step - 1) / step, jobs: jobs) { panel, worker in
      let part = rows.lowerBound + panel * step..<min(rows.upperBound, rows.lowerBound + (panel + 1) * step)
      let w = try Matrix(rows: part.count, columns: tensor.columns, tensor.values(of: part))
      return try feedback.quantize(w.view, scratch[worker]).bytes
    }
    return Array(panels.joined())
  }

  private func round(
    _ tensor: Tensor, _ rows: Range<Int>, plainlyAs type: DType, _ importance: [Float]
  ) throws -> [UInt8] {
    let step = FeedbackRun.rowsPerPanel
    let refines = options.refines
    let panels = try Parallel.map((rows.count + step - 1) / step, jobs: jobs) { panel in
      let part = rows.lowerBound + panel * step..<min(rows.upperBound, rows.lowerBound + (panel + 1) * step)
      let values = try tensor.values(of: part)
      var out = [UInt8](repeating: 0, count: try type.byteCount(of: values.count))
      var span = out.mutableSpan
      var bytes = unsafe span.mutableBytes
      if refines {
        try ThoroughSearch.quantize(
          values.span, columns: tensor.columns, as: type, importance: importance.span, into: &bytes)
      } else {
        BlockQuantizer.quantize(
          values.span, columns: tensor.columns, as: type, importance: importance.span, into: &bytes)
      }
      return out
    }
    return Array(panels.joined())
  }
}

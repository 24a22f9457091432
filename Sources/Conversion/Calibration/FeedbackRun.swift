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
  /// How far targets move to make good what the blocks before got wrong; needs `isSequential`.
  public var asymmetry = 0.25
  /// Scales are moved after ggml's search.
  public var refines = true

  public init() {}
}

/// Rounds the linear weights of a dense model block by block with error feedback.
///
/// In memory are the states of all calibration chunks (twice where targets move), the inputs of some thousand tokens, and one
/// block's Hessians and weights. The results do not depend on `jobs`.
struct FeedbackRun {
  let model: ModelSource
  /// The type of every tensor that is rounded, by name; those of the blocks with feedback, the embedding plainly.
  let types: [String: DType]
  let text: CalibrationText
  let options: FeedbackOptions
  let jobs: Int

  /// Tokens whose inputs are in memory at a time.
  private static let tokensPerBatch = 4096
  /// Rows of a weight that are rounded together.
  private static let rowsPerPanel = 64

  /// One block's weights, rounded.
  struct Layer {
    var index: Int
    var tensors: [Tensor]
    /// Of each tensor, what it lost; see `ErrorFeedback.Result`.
    var losses: [Double]
  }

  /// - Parameters:
  ///   - finished: gives a block that was rounded before, by the same run; the text only passes through it.
  ///   - deliver: called block after block.
  /// - Throws: `NONFINITE` when the model computes no number for the text; what reading throws.
  func run(
    progress: ProgressHandler?, finished: (Int) throws -> Layer? = { _ in nil }, deliver: (Layer) throws -> Void
  ) throws {
    guard model.parameters.expertCount == 0 else {
      throw InputError(
        .unsupported, "error feedback for a mixture of experts", subject: "--method gptq",
        remedy: "convert it with an importance matrix")
    }
    let pass = try ForwardPass(model, jobs: jobs)
    let states = try pass.embed(text.chunks)
    let undrifted = options.isSequential && options.asymmetry > 0 ? try states.copy() : nil
    for layer in 0..<pass.layerCount {
      let rounded: Layer
      if let known = try finished(layer) {
        if let undrifted { try pass.apply(layer: layer, to: undrifted) }
        if !options.isSequential { try pass.apply(layer: layer, to: states) }
        rounded = known
      } else {
        rounded = try round(layer, hessians(layer, pass, states, undrifted))
      }
      if options.isSequential {
        try ForwardPass(model.replacing(rounded.tensors), jobs: jobs, sharing: pass).apply(layer: layer, to: states)
      }
      try deliver(rounded)
      progress?(Progress("rounding with feedback", unit: .steps, done: layer + 1, total: pass.layerCount))
    }
  }

  /// What the linear layers of block `layer` see. Passes `undrifted` through the block, and `states` too unless the rounded
  /// block is to do that.
  private func hessians(
    _ layer: Int, _ pass: ForwardPass, _ states: HiddenStates, _ undrifted: HiddenStates?
  ) throws -> [Hessian] {
    let batch = max(1, FeedbackRun.tokensPerBatch / text.context)
    let tokens = min(text.chunks.count, batch) * text.context
    var inputs = try LayerInputs(model.parameters, tokens: tokens)
    var others = try undrifted.map { _ in try LayerInputs(model.parameters, tokens: tokens) }
    var hessians = try LinearInput.allCases.map { try Hessian(size: model.parameters.size(of: $0)) }
    try pass.load(layer: layer)
    for start in stride(from: 0, to: text.chunks.count, by: batch) {
      let part = start..<min(text.chunks.count, start + batch)
      try inputs.collect(
        layer: layer, of: pass, options.isSequential ? states.selecting(part).copy() : states.selecting(part))
      if let undrifted { try others?.collect(layer: layer, of: pass, undrifted.selecting(part)) }
      for input in LinearInput.allCases {
        try hessians[input.rawValue].add(inputs[input], jobs: jobs)
        if let others {
          try hessians[input.rawValue].add(drift: others[input], from: inputs[input], jobs: jobs)
        }
      }
    }
    for (input, hessian) in zip(LinearInput.allCases, hessians) where !hessian.diagonal.allSatisfy(\.isFinite) {
      throw InputError(
        .nonFinite, "the model computes no number for the calibration text",
        subject: input.weights(layer: layer, hasExperts: false)[0],
        remedy: "a weight is NaN, infinite or far too large; inspect the model and its source")
    }
    return hessians
  }

  private func round(_ layer: Int, _ hessians: [Hessian]) throws -> Layer {
    var result = Layer(index: layer, tensors: [], losses: [])
    for input in LinearInput.allCases {
      // Weights of one input and one type share the factor.
      var factors: [DType: FeedbackFactor] = [:]
      for name in input.weights(layer: layer, hasExperts: false) {
        guard let tensor = model[name], let type = types[name] else { continue }
        let factor = try factors[type] ?? factor(hessians[input.rawValue], for: type, name)
        factors[type] = factor
        let (bytes, loss) = try round(tensor, as: type, factor)
        result.tensors.append(try Tensor(name: name, dtype: type, shape: tensor.shape, source: MemoryRows(bytes)))
        result.losses.append(loss)
      }
    }
    return result
  }

  private func factor(_ hessian: Hessian, for type: DType, _ name: String) throws -> FeedbackFactor {
    guard
      let factor = try FeedbackFactor(
        hessian, for: type, damping: options.damping, isOrdered: options.isOrdered, asymmetry: options.asymmetry)
    else {
      throw InputError(
        .nonFinite, "its inputs are all zero or have no definite Hessian", subject: name,
        remedy: "calibrate on more text, or give this tensor another type with --tensor-type")
    }
    return factor
  }

  private func round(_ tensor: Tensor, as type: DType, _ factor: FeedbackFactor) throws -> ([UInt8], Double) {
    let feedback = ErrorFeedback(factor, type: type, refines: options.refines)
    let step = FeedbackRun.rowsPerPanel
    let panels = try Parallel.map((tensor.rows + step - 1) / step, jobs: jobs) { panel in
      let rows = panel * step..<min(tensor.rows, (panel + 1) * step)
      let w = try Matrix(rows: rows.count, columns: tensor.columns, tensor.values(of: rows))
      return try feedback.quantize(w.view)
    }
    return (Array(panels.map(\.bytes).joined()), panels.reduce(0) { $0 + $1.loss })
  }
}

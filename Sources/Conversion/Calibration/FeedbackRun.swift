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

/// Rounds the linear weights of a model block by block with error feedback.
///
/// In memory are the states of all calibration chunks (twice where targets move), the inputs of some thousand tokens, and one
/// block's Hessians and weights. The results depend neither on `jobs` nor on the instruction set.
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
    /// What was rounded plainly.
    var fallbacks: [FeedbackFallback] = []
  }

  /// - Parameters:
  ///   - finished: gives a block that was rounded before, by the same run; the text only passes through it.
  ///   - deliver: called block after block.
  /// - Throws: `NONFINITE` when the model computes no number for the text; what reading throws.
  func run(
    progress: ProgressHandler?, finished: (Int) throws -> Layer? = { _ in nil }, deliver: (Layer) throws -> Void
  ) throws {
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
        var hessians = try hessians(layer, pass, states, undrifted)
        rounded = try round(layer, &hessians)
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
  ) throws -> [LayerInputs.Key: Hessian] {
    let batch = max(1, FeedbackRun.tokensPerBatch / text.context)
    let tokens = min(text.chunks.count, batch) * text.context
    var inputs = try LayerInputs(model.parameters, tokens: tokens, seesExperts: true)
    var others = try undrifted.map { _ in try LayerInputs(model.parameters, tokens: tokens, seesExperts: false) }
    var hessians: [LayerInputs.Key: Hessian] = [:]
    try pass.load(layer: layer)
    for start in stride(from: 0, to: text.chunks.count, by: batch) {
      let part = start..<min(text.chunks.count, start + batch)
      try inputs.collect(
        layer: layer, of: pass, options.isSequential ? states.selecting(part).copy() : states.selecting(part))
      if let undrifted { try others?.collect(layer: layer, of: pass, undrifted.selecting(part)) }
      for key in LayerInputs.keys(model.parameters) {
        guard let x = inputs[key] else { continue }
        var hessian = try hessians.removeValue(forKey: key) ?? Hessian(size: x.columns)
        try hessian.add(x, undrifted: others?[key], jobs: jobs)
        hessians[key] = hessian
      }
    }
    for (key, hessian) in hessians where !hessian.diagonal.allSatisfy(\.isFinite) {
      throw InputError(
        .nonFinite, "the model computes no number for the calibration text",
        subject: key.input.weights(layer: layer, hasExperts: key.expert != nil)[0],
        remedy: "a weight is NaN, infinite or far too large; inspect the model and its source")
    }
    return hessians
  }

  /// - Parameter hessians: each is let go of when the weights that it is for are rounded.
  private func round(_ layer: Int, _ hessians: inout [LayerInputs.Key: Hessian]) throws -> Layer {
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
        var factors = SharedFactors(hessians.removeValue(forKey: key), options, jobs)
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

/// The factors of one Hessian; weights whose columns are ordered alike share one, and all of them the correction.
private struct SharedFactors {
  enum Result {
    case factor(FeedbackFactor)
    /// There is none, for the reason told.
    case none(String)
  }

  private let hessian: Hessian?
  private let options: FeedbackOptions
  private let jobs: Int
  private var known: [ColumnGroups: Result] = [:]
  private var first: FeedbackFactor?

  init(_ hessian: Hessian?, _ options: FeedbackOptions, _ jobs: Int) {
    (self.hessian, self.options, self.jobs) = (hessian, options, jobs)
  }

  subscript(groups: ColumnGroups) -> Result {
    mutating get throws {
      if let result = known[groups] { return result }
      let result = try make(groups)
      known[groups] = result
      if case .factor(let factor) = result, first == nil { first = factor }
      return result
    }
  }

  private func make(_ groups: ColumnGroups) throws -> Result {
    guard let hessian else { return .none("no token of the calibration text reaches it") }
    guard Double(hessian.tokens) >= options.tokensPerColumn * Double(hessian.size) else {
      return .none("\(hessian.tokens) tokens of the calibration text reach it, too few for \(hessian.size) columns")
    }
    let factor = try FeedbackFactor(
      hessian, for: groups, damping: options.damping, isOrdered: options.isOrdered, asymmetry: options.asymmetry,
      sharing: first, jobs: jobs)
    if let factor { return .factor(factor) }
    return .none(
      hessian.diagonal.contains { $0 > 0 }
        ? "the Hessian of its inputs has no factor" : "its inputs are zero for the whole calibration text")
  }

  /// Of plain rounding: the mean squares of the inputs, or all alike where there are none.
  func importance(_ columns: Int) -> [Float] {
    guard let hessian, hessian.tokens > 0 else { return [Float](repeating: 1, count: columns) }
    let diagonal = hessian.diagonal
    guard diagonal.contains(where: { $0 > 0 }) else { return [Float](repeating: 1, count: columns) }
    return diagonal.map { $0 / Float(hessian.tokens) }
  }
}

/// A matrix that was rounded plainly although feedback was asked for.
public struct FeedbackFallback: Hashable, Sendable {
  public let tensor: String
  /// Of a stack of experts, which one.
  public let expert: Int?
  public let reason: String

  /// For people.
  public var line: String {
    "\(printable(tensor))\(expert.map { ", expert \($0)" } ?? ""): \(reason); rounded without feedback"
  }

  public var json: JSONText {
    .object(
      [("tensor", .string(tensor))] + (expert.map { [("expert", .int($0))] } ?? []) + [("reason", .string(reason))])
  }
}

import Bytes
import Models
import Quantization
import Tensors

/// What the linear layers of one block see while a text passes through it, as Hessians.
///
/// Tokens are taken together in the order of the text, some thousand at a time: the same sums at any `jobs`, for whatever
/// they are wanted.
struct LayerHessians {
  /// Of experts, those that a token chose.
  private(set) var sums: [LayerInputs.Key: Hessian] = [:]

  /// Tokens whose inputs are in memory at a time.
  private static let tokensPerBatch = 4096

  /// - Parameters:
  ///   - states: before the block, in chunks of `context` tokens.
  ///   - advances: whether they are passed through the block; else they stay.
  ///   - undrifted: what the first of the states would be if nothing before the block were rounded; always passed through it.
  ///   - importance: takes the squares of the same inputs, as chunks from 0 on.
  /// - Throws: `NONFINITE` naming a weight when its inputs are no finite numbers; what reading throws.
  init(
    layer: Int, of pass: ForwardPass, _ states: HiddenStates, context: Int, advances: Bool = true,
    undrifted: HiddenStates? = nil, importance: BlockSums? = nil
  ) throws {
    let parameters = pass.parameters
    let batch = max(1, LayerHessians.tokensPerBatch / context)
    let tokens = min(states.chunks.count, batch) * context
    let known = undrifted?.chunks.count ?? 0
    var inputs = try LayerInputs(parameters, tokens: tokens, seesExperts: true)
    var others = try undrifted.map { _ in try LayerInputs(parameters, tokens: tokens, seesExperts: false) }
    try pass.load(layer: layer)
    let starts =
      Array(stride(from: 0, to: known, by: batch)) + Array(stride(from: known, to: states.chunks.count, by: batch))
    for start in starts {
      let part = start..<min(start < known ? known : states.chunks.count, start + batch)
      try inputs.collect(
        layer: layer, of: pass, states.selecting(part), advances: advances,
        observe: importance?.observer(from: start))
      importance?.finishGroup(at: part.upperBound)
      if let undrifted, start < known { try others?.collect(layer: layer, of: pass, undrifted.selecting(part)) }
      for key in LayerInputs.keys(parameters) {
        guard let x = inputs[key] else { continue }
        var hessian = try sums.removeValue(forKey: key) ?? Hessian(size: x.columns)
        try hessian.add(x, undrifted: start < known ? others?[key] : nil, jobs: pass.jobs)
        sums[key] = hessian
      }
    }
    for (key, hessian) in sums where !hessian.diagonal.allSatisfy(\.isFinite) {
      throw InputError(
        .nonFinite, "the model computes no number for the calibration text",
        subject: key.input.weights(layer: layer, hasExperts: key.expert != nil)[0],
        remedy: "a weight is NaN, infinite or far too large; inspect the model and its source")
    }
  }

  /// - Parameter sums: that were stored.
  init(_ sums: [LayerInputs.Key: Hessian]) { self.sums = sums }

  /// Lets go of the Hessian of `key` when it has been given; `nil` when no token reached that input.
  mutating func take(_ key: LayerInputs.Key) -> Hessian? { sums.removeValue(forKey: key) }
}

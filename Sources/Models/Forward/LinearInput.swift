public import Tensors

/// What the linear layers of a block multiply: layers that see the same vector share one.
public enum LinearInput: Int, CaseIterable, Hashable, Sendable {
  /// The normed state before attention: Q, K and V.
  case attention
  /// What the heads gathered: the output projection.
  case attentionOutput
  /// The normed state before the feed-forward part: gate, up, and the router of a mixture.
  case feedForward
  /// `silu(gate) · up`: down.
  case feedForwardDown

  /// The weights of block `layer` that multiply it; of a mixture, the stacks of its experts.
  public func weights(layer: Int, hasExperts: Bool) -> [String] {
    let parts: [String] =
      switch self {
      case .attention: ["attn_q", "attn_k", "attn_v"]
      case .attentionOutput: ["attn_output"]
      case .feedForward: hasExperts ? ["ffn_gate_exps", "ffn_up_exps"] : ["ffn_gate", "ffn_up"]
      case .feedForwardDown: hasExperts ? ["ffn_down_exps"] : ["ffn_down"]
      }
    return parts.map { "blk.\(layer).\($0).weight" }
  }
}

/// Sees the inputs of a block's linear layers while a chunk passes through it: `x` (tokens, in), good for the call only.
///
/// Chunks come from several threads, each chunk's calls from one, in the order of the computation. `expert` is nil in
/// dense layers and for what all experts see, the router's input; an expert sees the tokens that chose it, if any chunk's did.
public typealias LinearObserver =
  @Sendable (_ input: LinearInput, _ expert: Int?, _ chunk: Int, _ x: MatrixView) -> Void

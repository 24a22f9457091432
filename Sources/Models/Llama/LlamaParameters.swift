import Bytes

/// The hyperparameters of a Llama: what its tensors' shapes and its arithmetic follow from.
///
/// Whatever made it, a value has been checked: every size is positive and bounded, heads divide evenly, and products of
/// sizes fit an `Int`.
public struct LlamaParameters: Hashable, Sendable {
  /// Transformer blocks.
  public var layerCount: Int
  /// Tokens that the model was trained to see at once.
  public var contextLength: Int
  /// Width of the hidden state, `d`.
  public var hiddenSize: Int
  /// Width between the feed-forward matrices.
  public var feedForwardSize: Int
  /// Query heads.
  public var headCount: Int
  /// Key and value heads; divides `headCount`.
  public var keyValueHeadCount: Int
  /// Width of one head; even.
  public var headSize: Int
  /// Rows of the token embedding.
  public var vocabularySize: Int
  /// Added to the mean square in RMSNorm.
  public var normEpsilon: Double
  /// Base of the rotary frequencies.
  public var ropeTheta: Double
  public var ropeScaling: RopeScaling
  /// Whether the output matrix is the token embedding.
  public var tiesOutput: Bool
  /// Whether the attention projections have biases.
  public var hasAttentionBias: Bool
  /// Whether the feed-forward projections have biases.
  public var hasFeedForwardBias: Bool
  /// Feed-forward networks a block, of which a router chooses some for every token; 0 for one network and no router.
  public var expertCount = 0
  /// Experts that compute a token.
  public var usedExpertCount = 0
  /// A token sees no more than so many tokens, itself the last; all before it when `nil`.
  public var slidingWindow: Int?
  /// Whether the width of a head is stated and not derived, so that a GGUF states it too.
  public var statesHeadSize = true

  /// Query heads times their width.
  public var querySize: Int { headCount * headSize }
  /// Key heads times their width; values have the same.
  public var keyValueSize: Int { keyValueHeadCount * headSize }

  /// Elements of one expert of one block.
  var expertSize: Int { 3 * feedForwardSize * hiddenSize }

  // What no real model exceeds; keeps every later product far from overflow and every table bounded.
  static let layerLimit = 1...4096
  static let sizeLimit = 1...(1 << 24)
  static let headLimit = 1...(1 << 16)
  static let contextLimit = 1...Int(UInt32.max)
  static let expertLimit = 1...512

  /// Checks what one field alone cannot show.
  /// - Parameters:
  ///   - keys: the source's own names for hidden size, heads, key-value heads and head width, for messages.
  ///   - usedExperts: its name for the number of experts a token.
  func validated(
    keys: (hidden: String, heads: String, keyValueHeads: String, headSize: String),
    usedExperts: String = "num_experts_per_tok", file: String?
  ) throws(InputError) -> LlamaParameters {
    func refuse(_ subject: String, _ problem: String, _ remedy: String) -> InputError {
      InputError(.shape, problem, file: file, subject: subject, remedy: remedy)
    }
    guard headCount % keyValueHeadCount == 0 else {
      throw refuse(
        keys.keyValueHeads, "\(keyValueHeadCount) key-value heads do not divide \(headCount) heads",
        "\(keys.heads) must be a multiple of \(keys.keyValueHeads)")
    }
    guard headSize % 2 == 0 else {
      throw refuse(keys.headSize, "a head of \(headSize) cannot be rotated in pairs", "\(keys.headSize) must be even")
    }
    guard querySize <= 1 << 28 else {
      throw refuse(keys.headSize, "\(headCount) heads of \(headSize) are too wide", "check \(keys.heads)")
    }
    do throws(InputError) { _ = try SizeArithmetic.product([expertCount, expertSize, layerCount]) } catch {
      throw error.adding(file: file, subject: keys.hidden, remedy: "the experts are too many and too large")
    }
    guard usedExpertCount <= expertCount, expertCount == 0 || usedExpertCount > 0 else {
      throw refuse(
        usedExperts, "\(usedExpertCount) of \(expertCount) experts cannot be chosen",
        "\(usedExperts) must be from 1 to the number of experts")
    }
    guard normEpsilon >= 0, normEpsilon < 1, ropeTheta > 0, ropeTheta < 1e30 else {
      throw InputError(
        .limit, "norm epsilon \(normEpsilon) or rope theta \(ropeTheta) is out of range", file: file,
        remedy: "an epsilon is usually 1e-5, a theta from 10000 to 1e7")
    }
    return self
  }
}

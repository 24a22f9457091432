/// What one predicted token shows of two models.
public struct TokenDrift: Hashable, Sendable, BitwiseCopyable {
  /// `-ln p` of the token that came, under the reference and under the model compared with it.
  public var reference: Double
  public var quantized: Double
  /// `Σ p ln(p / q)` over the vocabulary: p the reference, q the other; in nats.
  public var divergence: Double
  /// The token that each thinks likeliest, the first of equals.
  public var referenceChoice: Int32
  public var quantizedChoice: Int32

  public init(
    reference: Double, quantized: Double, divergence: Double, referenceChoice: Int32, quantizedChoice: Int32
  ) {
    (self.reference, self.quantized, self.divergence) = (reference, quantized, divergence)
    (self.referenceChoice, self.quantizedChoice) = (referenceChoice, quantizedChoice)
  }

  public var sameChoice: Bool { referenceChoice == quantizedChoice }
}

/// Where in a text a token was predicted, and what it showed.
public struct WorstPosition: Hashable, Sendable {
  public var chunk: Int
  /// The last position that the models had seen.
  public var position: Int
  public var drift: TokenDrift
}

/// The positions of the largest divergence seen so far; of equals those that come first in the text.
struct WorstPositions {
  let limit: Int
  /// The largest first.
  private(set) var positions: [WorstPosition] = []

  init(limit: Int) { self.limit = limit }

  mutating func add(_ drift: TokenDrift, chunk: Int, position: Int) {
    if positions.count == limit, let last = positions.last, drift.divergence <= last.drift.divergence { return }
    let place = positions.firstIndex { $0.drift.divergence < drift.divergence } ?? positions.count
    positions.insert(WorstPosition(chunk: chunk, position: position, drift: drift), at: place)
    if positions.count > limit { positions.removeLast() }
  }
}

public import Bytes

/// A tokenized text cut by the perplexity rule of llama.cpp (tools/perplexity at 0c1e57098): whole chunks of `context`
/// tokens that do not overlap, the tail dropped; the first token of each replaced by BOS if the model wants one; the
/// predictions made from position `context / 2` to the last but one scored, so that each has at least half a context.
public struct TextChunks: Sendable {
  /// Tokens in a chunk.
  public let context: Int
  /// Chunks used.
  public private(set) var count: Int
  private let tokens: [Int32]
  private let bos: Int32?

  /// - Parameters:
  ///   - tokens: the text, with whatever the tokenizer adds to it.
  ///   - bos: stands in place of the first token of each chunk; `nil` for models without `add_bos_token`.
  ///   - limit: at most so many chunks.
  /// - Throws: `LIMIT` for a context below 4 or a text of less than two chunks.
  public init(_ tokens: [Int32], context: Int, bos: Int32?, limit: Int? = nil) throws(InputError) {
    guard context >= 4 else {
      throw InputError(.limit, "a context of \(context) tokens is too short to score", remedy: "use at least 4")
    }
    guard tokens.count / 2 >= context else {
      throw InputError(
        .limit, "the text has \(tokens.count) tokens, at least two chunks of \(context) are needed",
        remedy: "use a longer text or a shorter context")
    }
    self.tokens = tokens
    self.context = context
    self.bos = bos
    count = min(tokens.count / context, max(1, limit ?? .max))
  }

  /// No more than the first `limit` chunks.
  public func first(_ limit: Int) -> TextChunks {
    var part = self
    part.count = min(count, max(1, limit))
    return part
  }

  /// The positions of a chunk whose next token is scored.
  public var scored: Range<Int> { context / 2..<context - 1 }

  /// Predictions scored in all chunks.
  public var scoredCount: Int { scored.count * count }

  /// What the model is given.
  public func input(_ chunk: Int) -> [Int32] {
    var part = Array(tokens[chunk * context..<(chunk + 1) * context])
    if let bos { part[0] = bos }
    return part
  }

  /// The text's own tokens, BOS put in nowhere.
  func tokens(_ chunk: Int) -> [Int32] { Array(tokens[chunk * context..<(chunk + 1) * context]) }

  /// Chunks that somebody else cut, of which there may be one alone.
  init(chunks tokens: [Int32], context: Int, bos: Int32?, limit: Int?) {
    precondition(context >= 4 && tokens.count % context == 0, "no whole chunks")
    (self.tokens, self.context, self.bos) = (tokens, context, bos)
    count = min(tokens.count / context, max(1, limit ?? .max))
  }

  /// The token that follows `position` of `chunk`.
  public func target(_ chunk: Int, after position: Int) -> Int32 { tokens[chunk * context + position + 1] }
}

public import Bytes

/// A file of a model's predictions over a text, as `llama-perplexity --kl-divergence-base` writes and reads it
/// (llama.cpp 0c1e57098, tools/perplexity). Little-endian:
///
/// 1. `_logits_`, 8 bytes;
/// 2. i32 tokens in a chunk, i32 vocabulary, i32 chunks;
/// 3. i32 × (tokens in a chunk × chunks): the text's tokens, before any is replaced by BOS;
/// 4. of each chunk, a row for every scored position (`TextChunks.scored`): f32 scale, f32 minimum, u16 q × vocabulary, and
///    one u16 more when the vocabulary is odd. `ln p = scale · q + minimum`.
///
/// Sixteen bits spread over at most 16 nats below the most likely token, so that a step is up to 0.00025 nats; what is
/// less likely is not told apart.
public enum LogitsFile {
  static let magic = Array("_logits_".utf8)
  static let headerSize = 20
  /// Nats below the most likely token that are kept.
  static let depth: Float = 16

  /// What is known before any row.
  public struct Header: Hashable, Sendable {
    public let context: Int
    public let vocabularySize: Int
    public let chunks: Int

    static let contextLimit = 4...1 << 20
    static let vocabularyLimit = 1...1 << 24
    /// Tokens in all chunks; 1 GiB of them.
    static let tokenLimit = 1 << 28

    /// - Throws: `LIMIT` naming the field.
    public init(context: Int, vocabularySize: Int, chunks: Int) throws(InputError) {
      (self.context, self.vocabularySize, self.chunks) = (context, vocabularySize, chunks)
      for (name, value, range) in [
        ("tokens in a chunk", context, Header.contextLimit), ("vocabulary", vocabularySize, Header.vocabularyLimit),
        ("chunks", chunks, 1...max(1, Header.tokenLimit / max(1, context))),
      ] where !range.contains(value) {
        throw InputError(
          .limit, "\(range.lowerBound) to \(range.upperBound) expected, found \(value)", subject: name)
      }
    }

    var tokenCount: Int { context * chunks }
    /// Rows of a chunk.
    var rowsInChunk: Int { context - 1 - context / 2 }
    /// Of a row: scale and minimum take the place of four.
    var valuesInRow: Int { (vocabularySize + 1) / 2 * 2 + 4 }
    var rowSize: Int { 2 * valuesInRow }
    var rowsOffset: Int { headerSize + 4 * tokenCount }

    /// Bytes of the whole file. Cannot overflow: below 2^28 rows of less than 2^26 bytes.
    public var fileSize: Int { rowsOffset + chunks * rowsInChunk * rowSize }
  }
}

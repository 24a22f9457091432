import Bytes

/// Builds the model of a SentencePiece vocabulary, from a `tokenizer.model` or from the metadata of a GGUF.
struct SentencePieceBuilder {
  struct Token: Sendable {
    var text: [UInt8]
    var score: Float
    /// No text becomes it by merging.
    var isReserved: Bool
  }

  private(set) var vocabulary: Vocabulary
  private(set) var byteTokens = [Int32](repeating: -1, count: 256)
  private let tokens: [Token]

  /// - Parameter subject: what holds the tokens, for messages.
  init(_ tokens: [Token], subject: String, file: String?) throws(InputError) {
    self.tokens = tokens
    vocabulary = Vocabulary(capacity: tokens.count, bytes: tokens.count * 6)
    var work = 0
    for (id, token) in tokens.enumerated() {
      let start = vocabulary.append { $0.append(contentsOf: token.text) }
      guard vocabulary.insert(id: id, form: .verbatim, start: start) else {
        throw InputError(
          .duplicate, "piece \(id) has the text of another", file: file,
          subject: String(decoding: token.text, as: UTF8.self))
      }
      work += token.text.count * token.text.count
      guard work <= Limits.cuttingWork else {
        throw InputError(.limit, "the pieces up to number \(id) are too long", file: file, subject: subject)
      }
    }
  }

  mutating func setByteTokens(_ isByte: (Int) -> Bool) {
    for (id, token) in tokens.enumerated() where isByte(id) {
      if let byte = SentencePieceFile.byte(token.text) { byteTokens[Int(byte)] = Int32(id) }
    }
  }

  /// The piece of greatest score is merged first, of equal ones the leftmost.
  func pairModel(unknown: Int32, fusesUnknown: Bool) throws(InputError) -> CharacterPairModel {
    var model = CharacterPairModel(
      vocabulary: vocabulary, reserved: tokens.map(\.isReserved), merges: MergeTable(capacity: tokens.count * 3),
      byteTokens: byteTokens, unknown: unknown, fusesUnknown: fusesUnknown,
      spaceBeginsTokens: !tokens.contains {
        !$0.isReserved && CharacterPairModel.holdsInnerSpace($0.text[...])
      })
    let ranks = ranks
    for (id, token) in tokens.enumerated() where !token.isReserved {
      guard model.merges.count + token.text.count <= MergeTable.maximumCount else {
        throw InputError(.limit, "the pieces up to number \(id) can be made in too many ways")
      }
      addMerges(of: token.text.span, MergeTable.Merge(rank: ranks[id], id: Int32(id)), to: &model)
    }
    return model
  }

  /// Of the scores, the greatest 0; equal ones share one.
  private var ranks: [UInt32] {
    // By their bits, as sentencepiece orders them: -0 below 0.
    func key(_ score: Float) -> Int32 {
      let bits = Int32(bitPattern: score.bitPattern)
      return bits < 0 ? Int32.min &- bits &- 1 : bits
    }
    let order = tokens.indices.sorted { key(tokens[$0].score) > key(tokens[$1].score) }
    var ranks = [UInt32](repeating: 0, count: tokens.count)
    for (place, id) in order.enumerated() where place > 0 {
      let before = order[place - 1]
      ranks[id] = ranks[before] + (key(tokens[before].score) == key(tokens[id].score) ? 0 : 1)
    }
    return ranks
  }

  /// Every way to cut the text in two symbols: pieces, or single characters.
  private func addMerges(of text: Span<UInt8>, _ merge: MergeTable.Merge, to model: inout CharacterPairModel) {
    let (first, firstLength) = model.symbol(text, 0)
    var middle = firstLength
    while middle < text.count {
      let (last, lastLength) = model.symbol(text, middle)
      let left = middle == firstLength ? first : piece(text, 0, middle)
      let right = middle + lastLength == text.count ? last : piece(text, middle, text.count)
      if left >= 0 && right >= 0 { _ = model.merges.insert(left, right, merge, replacing: false) }
      middle += lastLength
    }
  }

  private func piece(_ text: Span<UInt8>, _ start: Int, _ end: Int) -> Int32 {
    let id = vocabulary.id(of: text, start, end)
    return id >= 0 && tokens[Int(id)].isReserved ? -1 : id
  }
}

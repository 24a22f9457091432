import Bytes
import Tensors

/// Text to token ids and back, as the model was trained with.
///
/// ```swift
/// let tokenizer = try Tokenizer(folder: "tiny-llama")
/// let ids = tokenizer.encode("Hello, world!")
/// ```
///
/// Read from a Hugging Face `tokenizer.json` or from the metadata of a GGUF; both give the same ids. A value: threads may
/// share it, `encode` keeps its working memory to itself.
public struct Tokenizer: Sendable {
  /// How a stretch of text without added tokens becomes ids.
  enum Model: Sendable {
    /// Cut into pieces, each merged from its bytes.
    case bytePairs(BytePairModel, PreTokenizer)
    /// Merged from its characters.
    case characterPairs(CharacterPairModel)
    case unigram(UnigramModel)
  }

  var vocabulary: Vocabulary
  /// In the order of the file.
  var addedTokens: [AddedToken]
  var model: Model
  /// What a SentencePiece vocabulary knows of its tokens; `nil` for another.
  var pieces: PieceAttributes?
  var spaces = SpaceRules()
  /// Pieces of a SentencePiece vocabulary that are matched before anything is merged.
  var userDefined = AddedTokenMatcher([])
  /// Every stretch of text between added tokens begins with a space, for `bytePairs`.
  var addsPrefixSpace = false
  public var special: SpecialTokens
  public var chatTemplates: [ChatTemplate] = []
  /// `add_prefix_space` of tokenizer_config.json, where it is stated.
  var statedPrefixSpace: Bool?
  /// `tokenizer.ggml.pre` of the GGUF that this was read from.
  var statedPre: String?

  private var firstPass: AddedTokenMatcher
  private var secondPass: AddedTokenMatcher
  /// Of added tokens, by id.
  private var addedByID: [Int32: Int]

  init(vocabulary: Vocabulary, addedTokens: [AddedToken], model: Model, special: SpecialTokens) {
    self.vocabulary = vocabulary
    self.addedTokens = addedTokens
    self.model = model
    self.special = special
    firstPass = AddedTokenMatcher(addedTokens.filter { $0.isMatched && !$0.isNormalized })
    secondPass = AddedTokenMatcher(addedTokens.filter { $0.isMatched && $0.isNormalized })
    addedByID = Dictionary(
      addedTokens.indices.map { (addedTokens[$0].id, $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// Forgets added tokens for which the embedding has no row, as llama.cpp's converter does: the first Llama 2 folders list a
  /// `<pad>` that the model never had. Only of SentencePiece vocabularies; elsewhere such a token is an error.
  /// - Returns: their texts.
  public mutating func dropAddedTokens(beyond rows: Int) -> [String] {
    guard pieces != nil, vocabulary.count <= rows, vocabularySize > rows else { return [] }
    let dropped = addedTokens.filter { $0.id >= rows }.map(\.content)
    var limited = Tokenizer(
      vocabulary: vocabulary, addedTokens: addedTokens.filter { $0.id < rows }, model: model, special: special)
    (limited.spaces, limited.userDefined, limited.chatTemplates) = (spaces, userDefined, chatTemplates)
    (limited.pieces, limited.statedPrefixSpace) = (pieces, statedPrefixSpace)
    limited.special.ids.removeAll { $0.id >= rows }
    limited.special.prefix.removeAll { $0 >= rows }
    limited.special.suffix.removeAll { $0 >= rows }
    self = limited
    return dropped
  }

  /// One more than the greatest id. A model's embedding may have more rows, which stand for no token.
  public var vocabularySize: Int {
    max(vocabulary.count, addedTokens.reduce(0) { max($0, Int($1.id) + 1) })
  }

  /// The token that begins a text, if the model has one.
  public var bosID: Int32? { special.id(of: .bos) }
  /// The token that ends a text.
  public var eosID: Int32? { special.id(of: .eos) }
  /// Whether `encode(addSpecial: true)` puts anything before the text.
  public var addsBOS: Bool { !special.prefix.isEmpty }
  /// Whether `encode(addSpecial: true)` puts anything after the text.
  public var addsEOS: Bool { !special.suffix.isEmpty }

  func added(_ id: Int32) -> AddedToken? { addedByID[id].map { addedTokens[$0] } }

  // MARK: To ids

  /// The ids of `text`.
  /// - Parameters:
  ///   - addSpecial: put the tokens before and after it that the model expects (`<|begin_of_text|>`).
  ///   - parseSpecial: read `<|eot_id|>` in the text as that token. Leave it off for text of unknown origin.
  public func encode(_ text: String, addSpecial: Bool = true, parseSpecial: Bool = true) -> [Int32] {
    encode(Array(text.utf8), addSpecial: addSpecial, parseSpecial: parseSpecial)
  }

  /// The ids of a text as bytes. Bytes that are no UTF-8 are signs of their own and come back from `decode` unchanged,
  /// except that a `tokenizer.model` of SentencePiece has them replaced by U+FFFD.
  public func encode(_ text: [UInt8], addSpecial: Bool = true, parseSpecial: Bool = true) -> [Int32] {
    var out: [Int32] = []
    out.reserveCapacity(text.count / 4 + special.prefix.count + special.suffix.count)
    if addSpecial { out.append(contentsOf: special.prefix) }
    if !text.isEmpty {
      switch model {
      case .bytePairs(let model, let preTokenizer):
        encode(text, model, preTokenizer, parseSpecial, into: &out)
      case .characterPairs, .unigram:
        forEachPart(text, parseSpecial, into: &out) { start, end, out in encodePieces(text, start, end, into: &out) }
      }
    }
    if addSpecial { out.append(contentsOf: special.suffix) }
    return out
  }

  /// Appends the added tokens in `text`, and what `body` appends for each stretch between them.
  private func forEachPart(
    _ text: [UInt8], _ parseSpecial: Bool, into out: inout [Int32], _ body: (Int, Int, inout [Int32]) -> Void
  ) {
    let span = text.span
    for outer in firstPass.split(span, 0, text.count, special: parseSpecial) {
      if let token = outer.token {
        out.append(token)
      } else if secondPass.isEmpty {
        body(outer.start, outer.end, &out)
      } else {
        for part in secondPass.split(span, outer.start, outer.end, special: parseSpecial) {
          if let token = part.token { out.append(token) } else { body(part.start, part.end, &out) }
        }
      }
    }
  }

  private func encode(
    _ text: [UInt8], _ model: BytePairModel, _ preTokenizer: PreTokenizer, _ parseSpecial: Bool, into out: inout [Int32]
  ) {
    var encoder = PieceEncoder(textBytes: text.count)
    let classes = addsPrefixSpace ? [] : CharacterClass.classify(text.span)
    forEachPart(text, parseSpecial, into: &out) { start, end, out in
      if addsPrefixSpace {
        let copy = (text[start] == 0x20 ? [] : [0x20]) + text[start..<end]
        var encoder = PieceEncoder(textBytes: copy.count)
        encode(
          copy.span, CharacterClass.classify(copy.span).span, 0, copy.count, model, preTokenizer, &encoder, into: &out)
      } else {
        encode(text.span, classes.span, start, end, model, preTokenizer, &encoder, into: &out)
      }
    }
  }

  private func encode(
    _ text: Span<UInt8>, _ classes: Span<UInt8>, _ start: Int, _ end: Int, _ model: BytePairModel,
    _ preTokenizer: PreTokenizer, _ encoder: inout PieceEncoder, into out: inout [Int32]
  ) {
    if let rules = preTokenizer.rules, preTokenizer.before.isEmpty, preTokenizer.after.isEmpty {
      var position = start
      while position < end {
        let next = rules.pieceEnd(text, classes, from: position, to: end)
        encoder.encode(text, position, next, vocabulary, model, into: &out)
        position = next
      }
    } else {
      var position = start
      for next in preTokenizer.pieceEnds(text, classes, start, end) {
        encoder.encode(text, position, next, vocabulary, model, into: &out)
        position = next
      }
    }
  }

  /// Of a SentencePiece vocabulary.
  private func encodePieces(_ text: [UInt8], _ start: Int, _ end: Int, into out: inout [Int32]) {
    let rewritten = spaces.apply(text.span, start, end, isFirst: start == 0, userDefined: userDefined)
    switch model {
    case .bytePairs: break
    case .unigram(let model): model.encode(rewritten, into: &out)
    case .characterPairs(let model):
      var encoder = PieceEncoder(textBytes: rewritten.count)
      for part in userDefined.split(rewritten.span, 0, rewritten.count, special: true) {
        if let token = part.token {
          out.append(token)
          continue
        }
        var position = part.start
        while position < part.end {
          let next = model.wordEnd(rewritten.span, position, part.end)
          encoder.encode(rewritten.span, position, next, model, into: &out)
          position = next
        }
      }
    }
  }
}

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
  var vocabulary: Vocabulary
  /// In the order of the file.
  var addedTokens: [AddedToken]
  var model: BytePairModel
  var preTokenizer: PreTokenizer
  /// Every stretch of text between added tokens begins with a space.
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

  init(
    vocabulary: Vocabulary, addedTokens: [AddedToken], model: BytePairModel, preTokenizer: PreTokenizer,
    special: SpecialTokens
  ) {
    self.vocabulary = vocabulary
    self.addedTokens = addedTokens
    self.model = model
    self.preTokenizer = preTokenizer
    self.special = special
    firstPass = AddedTokenMatcher(addedTokens.filter { !$0.isNormalized })
    secondPass = AddedTokenMatcher(addedTokens.filter(\.isNormalized))
    addedByID = Dictionary(
      addedTokens.indices.map { (addedTokens[$0].id, $0) }, uniquingKeysWith: { first, _ in first })
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

  // MARK: Back to text

  /// The bytes that a token stands for; of an added token, its text. Empty for an id without a token.
  public func tokenBytes(_ id: Int32) -> [UInt8] {
    if let added = added(id) { return Array(added.content.utf8) }
    return Array(vocabulary.bytes(of: Int(id)))
  }

  /// The bytes of all tokens. A token may hold part of a character, so that only the whole need be UTF-8.
  /// - Parameter skipSpecial: leave out the tokens marked special.
  public func decode(_ ids: some Sequence<Int32>, skipSpecial: Bool = false) -> [UInt8] {
    var out: [UInt8] = []
    for id in ids {
      if let added = added(id) {
        if !(skipSpecial && added.isSpecial) { out.append(contentsOf: added.content.utf8) }
      } else {
        out.append(contentsOf: vocabulary.bytes(of: Int(id)))
      }
    }
    return out
  }

  func added(_ id: Int32) -> AddedToken? { addedByID[id].map { addedTokens[$0] } }

  /// The token's text as a vocabulary file writes it; `nil` for an id without a token.
  func text(of id: Int) -> String? {
    if let added = added(Int32(id)) { return added.content }
    guard vocabulary.forms.indices.contains(id) else { return nil }
    switch vocabulary.forms[id] {
    case .absent: return nil
    case .bytes: return ByteAlphabet.text(of: vocabulary.bytes(of: id))
    case .verbatim: return String(decoding: vocabulary.bytes(of: id), as: UTF8.self)
    }
  }

  // MARK: To ids

  /// The ids of `text`.
  /// - Parameters:
  ///   - addSpecial: put the tokens before and after it that the model expects (`<|begin_of_text|>`).
  ///   - parseSpecial: read `<|eot_id|>` in the text as that token. Leave it off for text of unknown origin.
  public func encode(_ text: String, addSpecial: Bool = true, parseSpecial: Bool = true) -> [Int32] {
    encode(Array(text.utf8), addSpecial: addSpecial, parseSpecial: parseSpecial)
  }

  /// The ids of a text as bytes. Bytes that are no UTF-8 are signs of their own and come back from `decode` unchanged.
  public func encode(_ text: [UInt8], addSpecial: Bool = true, parseSpecial: Bool = true) -> [Int32] {
    var out: [Int32] = []
    out.reserveCapacity(text.count / 4 + special.prefix.count + special.suffix.count)
    if addSpecial { out.append(contentsOf: special.prefix) }
    if !text.isEmpty {
      if firstPass.isEmpty && secondPass.isEmpty && !addsPrefixSpace {
        var encoder = PieceEncoder(textBytes: text.count)
        let classes = CharacterClass.classify(text.span)
        encode(text.span, classes.span, 0, text.count, &encoder, into: &out)
      } else {
        encodeParts(text, special: parseSpecial, into: &out)
      }
    }
    if addSpecial { out.append(contentsOf: special.suffix) }
    return out
  }

  private func encodeParts(_ text: [UInt8], special: Bool, into out: inout [Int32]) {
    var encoder = PieceEncoder(textBytes: text.count)
    let span = text.span
    let classes = addsPrefixSpace ? [] : CharacterClass.classify(span)
    for outer in firstPass.split(span, 0, text.count, special: special) {
      if let token = outer.token {
        out.append(token)
        continue
      }
      let inner =
        secondPass.isEmpty ? [outer] : secondPass.split(span, outer.start, outer.end, special: special)
      for part in inner {
        if let token = part.token {
          out.append(token)
        } else if addsPrefixSpace {
          encodeAfterSpace(text[part.start..<part.end], into: &out)
        } else {
          encode(span, classes.span, part.start, part.end, &encoder, into: &out)
        }
      }
    }
  }

  private func encodeAfterSpace(_ text: ArraySlice<UInt8>, into out: inout [Int32]) {
    let copy = (text.first == 0x20 ? [] : [0x20]) + text
    var encoder = PieceEncoder(textBytes: copy.count)
    let classes = CharacterClass.classify(copy.span)
    encode(copy.span, classes.span, 0, copy.count, &encoder, into: &out)
  }

  private func encode(
    _ text: Span<UInt8>, _ classes: Span<UInt8>, _ start: Int, _ end: Int, _ encoder: inout PieceEncoder,
    into out: inout [Int32]
  ) {
    var position = start
    while position < end {
      let next = preTokenizer.pieceEnd(text, classes, from: position, to: end)
      encoder.encode(text, position, next, vocabulary, model, into: &out)
      position = next
    }
  }
}

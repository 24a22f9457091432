import Bytes
import Tensors

extension Tokenizer {
  /// The tokenizer in the metadata of a GGUF (`tokenizer.ggml.*`), of the `gpt2` or the `llama` kind.
  ///
  /// - Throws: `MISSING` and `TYPE` naming the key, `UNSUPPORTED` for another kind of model or an unknown `pre`, `DUP` for
  ///   two tokens of one text.
  public init(metadata: Metadata) throws(InputError) {
    let reader = VocabularyMetadata(metadata: metadata)
    switch try reader.string("model") {
    case "gpt2": try self.init(bytePairs: reader)
    case "llama": try self.init(pieces: reader)
    case let kind: throw reader.error(.unsupported, "model", "tokenizers of the kind \"\(kind)\" are not supported")
    }
    statedPrefixSpace = metadata["tokenizer.ggml.add_space_prefix"]?.bool
    if let text = metadata["tokenizer.chat_template"]?.string { chatTemplates = [ChatTemplate(text: text)] }
  }

  private init(bytePairs reader: VocabularyMetadata) throws(InputError) {
    let pre = try reader.string("pre")
    guard let named = PreTokenizer.named(pre) else {
      throw reader.error(.unsupported, "pre", "the pre-tokenizer \"\(pre)\" is not known")
    }
    let (tokens, types) = try reader.tokensAndTypes()
    let merges = try reader.strings("merges", limit: Limits.merges)
    let builder = try BytePairBuilder(tokens: tokens, types: types, merges: merges, ignoresMerges: named.ignoresMerges)
    let special = try reader.special(count: tokens.count, addsBOSByDefault: named.addsBOS)
    self.init(
      vocabulary: builder.vocabulary, addedTokens: builder.added, model: .bytePairs(builder.model, named.rules),
      special: special)
    statedPre = named.name
  }

  /// Pieces with scores, merged as llama.cpp merges them.
  private init(pieces reader: VocabularyMetadata) throws(InputError) {
    let (tokens, types) = try reader.tokensAndTypes()
    let scores = try reader.scores(count: tokens.count)
    let entries = tokens.indices.map { id in
      SentencePieceBuilder.Token(
        text: Array(tokens[id].utf8), score: scores[id], isReserved: types[id] != .normal && types[id] != .userDefined)
    }
    var builder = try SentencePieceBuilder(entries, subject: "tokenizer.ggml.tokens", file: nil)
    builder.setByteTokens { types[$0] == .byte }
    var special = try reader.special(count: tokens.count, addsBOSByDefault: false)
    // What llama.cpp takes where the keys are missing.
    for (id, role) in [SpecialTokens.Role.unk, .bos, .eos].enumerated() where id < tokens.count {
      special.assign(role, Int32(id))
    }
    if special.isAdded(.bos) ?? true, let id = special.id(of: .bos) { special.prefix = [id] }
    let unknown = special.id(of: .unk) ?? -1
    var added: [AddedToken] = []
    for (id, type) in types.enumerated() where type == .control || type == .unknown || type == .userDefined {
      let isSpecial = type != .userDefined || SpecialTokens.endsGeneration(tokens[id])
      added.append(AddedToken(id: Int32(id), content: tokens[id], isSpecial: isSpecial))
    }
    self.init(
      vocabulary: builder.vocabulary, addedTokens: added,
      model: .characterPairs(try builder.pairModel(unknown: unknown, fusesUnknown: true)),
      special: special)
    spaces.prefix = reader.metadata["tokenizer.ggml.add_space_prefix"]?.bool ?? true ? .always : .never
    pieces = PieceAttributes(scores: scores, types: types)
  }
}

/// The keys of a vocabulary in the metadata of a GGUF, each checked as it is asked for.
struct VocabularyMetadata {
  let metadata: Metadata

  func error(_ code: InputError.Code, _ name: String, _ problem: String) -> InputError {
    InputError(code, problem, subject: "tokenizer.ggml." + name)
  }

  private func required(_ name: String) throws(InputError) -> MetadataValue {
    guard let value = metadata["tokenizer.ggml." + name] else {
      throw error(.missing, name, "the model holds no such key")
    }
    return value
  }

  func string(_ name: String) throws(InputError) -> String {
    guard let text = try required(name).string else { throw error(.type, name, "a string expected") }
    return text
  }

  func strings(_ name: String, limit: Int) throws(InputError) -> [String] {
    guard let values = try required(name).strings else { throw error(.type, name, "an array of strings expected") }
    guard values.count <= limit else {
      throw error(.limit, name, "\(values.count) entries, at most \(limit) are read")
    }
    return values
  }

  /// As many types as tokens; all normal where the file states none.
  func tokensAndTypes() throws(InputError) -> ([String], [TokenType]) {
    let tokens = try strings("tokens", limit: Limits.tokens)
    guard let value = metadata["tokenizer.ggml.token_type"] else {
      return (tokens, [TokenType](repeating: .normal, count: tokens.count))
    }
    guard case .int32s(let types) = value else { throw error(.type, "token_type", "an array of int32 expected") }
    guard types.count >= tokens.count else {
      throw error(.shape, "token_type", "\(types.count) types for \(tokens.count) tokens")
    }
    return (tokens, types.prefix(tokens.count).map { TokenType(rawValue: $0) ?? .normal })
  }

  func scores(count: Int) throws(InputError) -> [Float] {
    guard case .float32s(let scores) = try required("scores") else {
      throw error(.type, "scores", "an array of float32 expected")
    }
    guard scores.count >= count else { throw error(.shape, "scores", "\(scores.count) scores for \(count) tokens") }
    guard scores.allSatisfy(\.isFinite) else { throw error(.nonFinite, "scores", "a score is not a finite number") }
    return Array(scores.prefix(count))
  }

  func special(count: Int, addsBOSByDefault: Bool) throws(InputError) -> SpecialTokens {
    var special = SpecialTokens()
    for role in SpecialTokens.Role.allCases {
      if let value = metadata[role.key] {
        guard let id = value.integer, id >= 0, id < count else {
          throw InputError(.bounds, "a token id below \(count) expected", subject: role.key)
        }
        special.assign(role, Int32(id))
      }
      if let key = role.addKey, let flag = metadata[key]?.bool { special.setAdded(role, flag) }
    }
    if special.isAdded(.bos) ?? addsBOSByDefault, let id = special.id(of: .bos) { special.prefix = [id] }
    if special.isAdded(.eos) ?? false, let id = special.id(of: .eos) { special.suffix = [id] }
    return special
  }
}

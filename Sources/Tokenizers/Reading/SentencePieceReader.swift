import Bytes

extension Tokenizer {
  /// The tokenizer of a SentencePiece `tokenizer.model`, with what the files beside it add.
  public init(sentencePiece bytes: [UInt8], _ sources: TokenizerSources) throws(InputError) {
    let file = try SentencePieceFile(parsing: bytes, file: sources.modelFile)
    if file.kind == .bpe && file.pieces.contains(where: { $0.type == .unused }) {
      throw InputError(.unsupported, "unused pieces in a BPE model are not supported", file: sources.modelFile)
    }
    let tokens = file.pieces.map { piece in
      SentencePieceBuilder.Token(
        text: Array(bytes[piece.text]), score: piece.score,
        isReserved: piece.type == .control || piece.type == .unknown || piece.type == .byte)
    }
    var builder = try SentencePieceBuilder(tokens, subject: "pieces", file: sources.modelFile)
    if file.fallsBackToBytes { builder.setByteTokens { file.pieces[$0].type == .byte } }
    let unknown = Int32(file.pieces.firstIndex { $0.type == .unknown } ?? -1)

    let extra = try AddedTokensReader.read(sources, file)
    let model: Model =
      file.kind == .unigram
      ? .unigram(UnigramModel(file, byteTokens: builder.byteTokens, unknown: unknown))
      : .characterPairs(try builder.pairModel(unknown: unknown, fusesUnknown: true))
    self.init(
      vocabulary: builder.vocabulary, addedTokens: extra.tokens, model: model,
      special: try SpecialTokensReader.read(sources, extra.known, addsBOSByDefault: true))
    spaces.prefix = file.addsDummyPrefix ? .always : .never
    spaces.removesExtra = file.removesExtraSpaces
    spaces.escapes = file.escapesSpaces
    spaces.replacesInvalid = true
    if !file.charactersMap.isEmpty {
      spaces.map = try CharactersMap(parsing: bytes[file.charactersMap], file: sources.modelFile)
    }
    userDefined = AddedTokenMatcher(file.userDefined)
    pieces = PieceAttributes(
      scores: file.pieces.map(\.score), types: file.pieces.map(\.type.tokenType), overrides: extra.overrides)
    statedPrefixSpace = try sources.configuration?.optional("add_prefix_space")?.bool("add_prefix_space")
    chatTemplates = try Tokenizer.chatTemplates(sources)
  }
}

extension SentencePieceFile {
  /// Matched in a text before anything is merged.
  var userDefined: [AddedToken] {
    pieces.indices.filter { pieces[$0].type == .userDefined }.map {
      AddedToken(
        id: Int32($0), content: String(decoding: bytes[pieces[$0].text], as: UTF8.self), isSpecial: false)
    }
  }
}

extension SentencePieceFile.PieceType {
  /// As `convert_hf_to_gguf.py` writes it: a user-defined piece is a normal one.
  var tokenType: TokenType {
    switch self {
    case .normal, .userDefined: .normal
    case .unknown: .unknown
    case .control: .control
    case .unused: .unused
    case .byte: .byte
    }
  }
}

/// Collects the added tokens of a checkpoint with a SentencePiece model: the model's own control tokens, added_tokens.json,
/// `added_tokens_decoder` of tokenizer_config.json, `added_tokens` of tokenizer.json.
struct AddedTokensReader {
  /// Looked for in a text.
  private(set) var tokens: [AddedToken] = []
  /// Those that tokenizer.json lists, by whose texts ids are found.
  private(set) var known: [AddedToken] = []
  private(set) var overrides: [PieceAttributes.Override] = []

  static func read(_ sources: TokenizerSources, _ file: SentencePieceFile) throws(InputError) -> AddedTokensReader {
    var reader = AddedTokensReader()
    for (id, piece) in file.pieces.enumerated() where piece.type == .control || piece.type == .unknown {
      let text = String(decoding: file.bytes[piece.text], as: UTF8.self)
      reader.set(AddedToken(id: Int32(id), content: text, isSpecial: true))
    }
    if let json = sources.addedTokens { try reader.readFile(json) }
    if let json = sources.configuration?.optional("added_tokens_decoder") { try reader.readDecoder(json) }
    if let json = sources.tokenizer?.optional("added_tokens") { try reader.readTokenizer(json) }
    var contents = Set<ExactString>()
    for token in reader.tokens where !contents.insert(ExactString(token.content)).inserted {
      throw InputError(.duplicate, "two added tokens have this text", file: sources.modelFile, subject: token.content)
    }
    return reader
  }

  /// The last word on an id counts.
  private mutating func set(_ token: AddedToken) {
    if let index = tokens.firstIndex(where: { $0.id == token.id }) {
      tokens[index] = token
    } else {
      tokens.append(token)
    }
  }

  private static func check(_ count: Int, _ json: JSONValue) throws(InputError) {
    guard count <= 1 << 14 else {
      throw InputError(
        .limit, "\(count) added tokens, at most \(1 << 14) are read beside a SentencePiece model", file: json.file,
        offset: json.offset)
    }
  }

  private mutating func readFile(_ json: JSONValue) throws(InputError) {
    try AddedTokensReader.check(json.count, json)
    for (key, value) in try json.members("added_tokens.json") {
      let id = Int32(try value.int(in: 0...Limits.tokens - 1, "added_tokens.json"))
      let content = try AddedTokensReader.content(key)
      set(AddedToken(id: id, content: content, isSpecial: false))
      overrides.append(PieceAttributes.Override(id: id, text: content, type: .userDefined))
    }
  }

  private mutating func readDecoder(_ json: JSONValue) throws(InputError) {
    try AddedTokensReader.check(json.count, json)
    for (key, value) in try json.members("added_tokens_decoder") {
      guard let id = Int32(try key.string()), id >= 0, id < Limits.tokens else {
        throw key.mismatch("a token id", "added_tokens_decoder")
      }
      let token = try AddedTokensReader.token(id, value)
      set(token)
      overrides.append(
        PieceAttributes.Override(
          id: id, text: token.content,
          type: token.isSpecial || Tokenizer.looksSpecial(token.content) ? .control : .userDefined))
    }
  }

  private mutating func readTokenizer(_ json: JSONValue) throws(InputError) {
    try AddedTokensReader.check(json.count, json)
    for entry in try json.elements("added_tokens") {
      let id = Int32(try entry.required("id").int(in: 0...Limits.tokens - 1, "added_tokens"))
      let token = try AddedTokensReader.token(id, entry)
      known.append(token)
      set(token)
    }
  }

  private static func token(_ id: Int32, _ json: JSONValue) throws(InputError) -> AddedToken {
    func flag(_ key: String) throws(InputError) -> Bool { try json.optional(key)?.bool(key) ?? false }
    return AddedToken(
      id: id, content: try content(json.required("content")), isSpecial: try flag("special"),
      isSingleWord: try flag("single_word"), stripsLeft: try flag("lstrip"), stripsRight: try flag("rstrip"))
  }

  private static func content(_ json: JSONValue) throws(InputError) -> String {
    let content = try json.string("added token")
    guard content.utf8.count <= Limits.addedTokenBytes else {
      throw InputError(
        .limit, "an added token of \(content.utf8.count) bytes, at most \(Limits.addedTokenBytes) are read",
        file: json.file, offset: json.offset)
    }
    return content
  }
}

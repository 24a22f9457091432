import Bytes

/// The files of a checkpoint that say how its text is tokenized.
public struct TokenizerSources: Sendable {
  /// tokenizer.json
  public var tokenizer: JSONValue?
  /// tokenizer.model: SentencePiece's, or tiktoken's ranks.
  public var model: [UInt8]?
  /// Its name, for messages.
  public var modelFile: String?
  /// tokenizer_config.json
  public var configuration: JSONValue?
  /// special_tokens_map.json
  public var specialTokensMap: JSONValue?
  /// added_tokens.json
  public var addedTokens: JSONValue?
  /// config.json, for ids that only it names.
  public var modelConfiguration: JSONValue?
  /// Of Meta's ranks, which special tokens belong to them.
  public var generation = LlamaGeneration.threeOne
  /// chat_template.jinja, then additional_chat_templates/*.jinja.
  public var chatTemplates: [ChatTemplate]

  public init(
    tokenizer: JSONValue?, configuration: JSONValue? = nil, specialTokensMap: JSONValue? = nil,
    modelConfiguration: JSONValue? = nil, chatTemplates: [ChatTemplate] = []
  ) {
    self.tokenizer = tokenizer
    self.configuration = configuration
    self.specialTokensMap = specialTokensMap
    self.modelConfiguration = modelConfiguration
    self.chatTemplates = chatTemplates
  }

  /// Reads them from a checkpoint's folder, of Hugging Face's or of Meta's form.
  public init(folder: String) throws {
    func path(_ name: String) -> String { folder.utf8.last == UInt8(ascii: "/") ? folder + name : folder + "/" + name }
    func exists(_ name: String) throws -> Bool { try SystemCalls.status(at: path(name)) != nil }
    func json(_ name: String, limit: Int) throws -> JSONValue? {
      try exists(name) ? JSONDocument(reading: path(name), limit: limit).root : nil
    }
    self.init(
      tokenizer: try json("tokenizer.json", limit: Limits.fileBytes),
      configuration: try json("tokenizer_config.json", limit: 1 << 25),
      specialTokensMap: try json("special_tokens_map.json", limit: 1 << 22),
      modelConfiguration: try json("config.json", limit: 1 << 25))
    addedTokens = try json("added_tokens.json", limit: 1 << 24)
    if try exists("tokenizer.model") {
      modelFile = path("tokenizer.model")
      model = try RandomAccessFile(path("tokenizer.model")).readAll(limit: Limits.sentencePieceBytes)
    }
    guard tokenizer != nil || model != nil else {
      throw InputError(
        .missing, "there is neither tokenizer.json nor tokenizer.model", file: folder,
        remedy: "name a checkpoint folder with its tokenizer")
    }
    // Meta's 3.0 has the former names; what came after scales its rotary frequencies.
    if let parameters = try json("params.json", limit: 1 << 20) {
      generation = try parameters.optional("use_scaled_rope")?.bool("use_scaled_rope") == true ? .threeOne : .three
    }
    try readTemplates(path, exists)
  }

  private mutating func readTemplates(_ path: (String) -> String, _ exists: (String) throws -> Bool) throws {
    func template(_ name: String, _ title: String) throws -> ChatTemplate {
      let bytes = try RandomAccessFile(path(name)).readAll(limit: Limits.templateBytes)
      guard let text = String(validating: bytes, as: UTF8.self) else {
        throw InputError(.utf8, "not valid UTF-8", file: path(name))
      }
      return ChatTemplate(name: title, text: text)
    }
    if try exists("chat_template.jinja") {
      chatTemplates = [try template("chat_template.jinja", "default")]
      guard try exists("additional_chat_templates") else { return }
      for name in try SystemCalls.entries(of: path("additional_chat_templates")).sorted()
      where name.hasSuffix(".jinja") {
        chatTemplates.append(try template("additional_chat_templates/" + name, String(name.dropLast(6))))
      }
    } else if try exists("chat_template.json") {
      let json = try JSONDocument(reading: path("chat_template.json"), limit: 1 << 22).root
      if let text = json.optional("chat_template") { chatTemplates = [ChatTemplate(text: try text.string())] }
    }
  }
}

extension Tokenizer {
  /// The tokenizer of a checkpoint's folder, of Hugging Face's or of Meta's form.
  public init(folder: String) throws { try self.init(TokenizerSources(folder: folder)) }

  /// The tokenizer that the files describe. A SentencePiece `tokenizer.model` wins over tokenizer.json, as in
  /// llama.cpp's converter; tiktoken's ranks are read where there is no tokenizer.json.
  public init(_ sources: TokenizerSources) throws(InputError) {
    if let model = sources.model {
      let isRanks = RankFile.isRankFile(model.prefix(1024))
      if !isRanks || sources.tokenizer == nil {
        if isRanks {
          try self.init(rankFile: model, file: sources.modelFile, generation: sources.generation)
          chatTemplates = try Tokenizer.chatTemplates(sources)
        } else {
          try self.init(sentencePiece: model, sources)
        }
        return
      }
    }
    guard let json = sources.tokenizer else {
      throw InputError(.missing, "there is neither tokenizer.json nor tokenizer.model")
    }
    try self.init(json: json, sources)
  }
}

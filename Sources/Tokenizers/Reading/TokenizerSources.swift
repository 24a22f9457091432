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
}

extension Tokenizer {
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

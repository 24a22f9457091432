import Bytes

/// The files of a checkpoint that say how its text is tokenized.
public struct TokenizerSources: Sendable {
  /// tokenizer.json
  public var tokenizer: JSONValue
  /// tokenizer_config.json
  public var configuration: JSONValue?
  /// special_tokens_map.json
  public var specialTokensMap: JSONValue?
  /// config.json, for ids that only it names.
  public var modelConfiguration: JSONValue?
  /// chat_template.jinja, then additional_chat_templates/*.jinja.
  public var chatTemplates: [ChatTemplate]

  public init(
    tokenizer: JSONValue, configuration: JSONValue? = nil, specialTokensMap: JSONValue? = nil,
    modelConfiguration: JSONValue? = nil, chatTemplates: [ChatTemplate] = []
  ) {
    self.tokenizer = tokenizer
    self.configuration = configuration
    self.specialTokensMap = specialTokensMap
    self.modelConfiguration = modelConfiguration
    self.chatTemplates = chatTemplates
  }

  /// Reads them from a checkpoint's folder; only tokenizer.json must be there.
  public init(folder: String) throws {
    func path(_ name: String) -> String { folder.utf8.last == UInt8(ascii: "/") ? folder + name : folder + "/" + name }
    func json(_ name: String, limit: Int) throws -> JSONValue? {
      guard try SystemCalls.status(at: path(name)) != nil else { return nil }
      return try JSONDocument(reading: path(name), limit: limit).root
    }
    guard let tokenizer = try json("tokenizer.json", limit: Limits.fileBytes) else {
      throw InputError(
        .missing, "there is no such file", file: path("tokenizer.json"),
        remedy: "name a Hugging Face checkpoint folder with its tokenizer.json")
    }
    self.init(
      tokenizer: tokenizer, configuration: try json("tokenizer_config.json", limit: 1 << 25),
      specialTokensMap: try json("special_tokens_map.json", limit: 1 << 22),
      modelConfiguration: try json("config.json", limit: 1 << 25))
    let template = path("chat_template.jinja")
    if try SystemCalls.status(at: template) != nil {
      let bytes = try RandomAccessFile(template).readAll(limit: Limits.templateBytes)
      guard let text = String(validating: bytes, as: UTF8.self) else {
        throw InputError(.utf8, "not valid UTF-8", file: template)
      }
      chatTemplates = [ChatTemplate(text: text)]
    }
  }
}

extension Tokenizer {
  /// The tokenizer of a Hugging Face checkpoint.
  public init(folder: String) throws { try self.init(TokenizerSources(folder: folder)) }
}

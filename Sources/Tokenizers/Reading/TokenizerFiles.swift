import Bytes

/// The files of one model, by name. Whoever opens the folder decides what may be read of it.
public protocol TokenizerFiles {
  /// The folder, for messages.
  var path: String { get }
  /// The path of a file, for messages.
  func path(of name: String) -> String
  /// The bytes of a file, or `nil` when there is none.
  /// - Throws: `LIMIT` when it is larger than `limit`, before any of it is read.
  func read(_ name: String, limit: Int) throws -> [UInt8]?
  /// The names in the folder, or in one that lies in it, sorted by their bytes; none when there is no such folder.
  func names(in folder: String?) throws -> [String]
}

extension TokenizerFiles {
  func json(_ name: String, limit: Int) throws -> JSONValue? {
    guard let bytes = try read(name, limit: limit) else { return nil }
    return try JSONDocument(parsing: bytes, file: path(of: name)).root
  }

  func text(_ name: String, limit: Int) throws -> String? {
    guard let bytes = try read(name, limit: limit) else { return nil }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw InputError(.utf8, "not valid UTF-8", file: path(of: name))
    }
    return text
  }
}

/// A folder read as it is, links followed wherever they lead.
private struct PlainFolder: TokenizerFiles {
  let path: String

  func path(of name: String) -> String { path.utf8.last == UInt8(ascii: "/") ? path + name : path + "/" + name }

  func read(_ name: String, limit: Int) throws -> [UInt8]? {
    guard try SystemCalls.status(at: path(of: name)) != nil else { return nil }
    return try RandomAccessFile(path(of: name)).readAll(limit: limit)
  }

  func names(in folder: String?) throws -> [String] {
    let place = folder.map(path(of:)) ?? path
    return try SystemCalls.status(at: place)?.isDirectory == true ? SystemCalls.entries(of: place) : []
  }
}

extension TokenizerSources {
  /// Any of these makes a folder one with a tokenizer.
  public static let mainFileNames = ["tokenizer.json", "tokenizer.model"]

  /// Reads them from a checkpoint's folder, of Hugging Face's or of Meta's form.
  /// - Parameter config: its `config.json`, where that was read already.
  /// - Throws: `MISSING` without `mainFileNames`, `LIMIT`, `JSON`, `UTF8`, and what reading throws.
  public init(_ files: some TokenizerFiles, config: JSONValue? = nil) throws {
    self.init(
      tokenizer: try files.json("tokenizer.json", limit: Limits.fileBytes),
      configuration: try files.json("tokenizer_config.json", limit: 1 << 25),
      specialTokensMap: try files.json("special_tokens_map.json", limit: 1 << 22),
      modelConfiguration: try config ?? files.json("config.json", limit: 1 << 25))
    addedTokens = try files.json("added_tokens.json", limit: 1 << 24)
    if let bytes = try files.read("tokenizer.model", limit: Limits.sentencePieceBytes) {
      (model, modelFile) = (bytes, files.path(of: "tokenizer.model"))
    }
    guard tokenizer != nil || model != nil else {
      throw InputError(
        .missing, "there is neither tokenizer.json nor tokenizer.model", file: files.path,
        remedy: try files.names(in: nil).contains("tekken.json")
          ? "tekken.json is not read; add the model's tokenizer.json" : "download the whole model folder")
    }
    if let params = try files.json("params.json", limit: 1 << 20) { generation = LlamaGeneration(params: params) }
    try readTemplates(files)
  }

  private mutating func readTemplates(_ files: some TokenizerFiles) throws {
    if let text = try files.text("chat_template.jinja", limit: Limits.templateBytes) {
      chatTemplates = [ChatTemplate(text: text)]
      let folder = "additional_chat_templates"
      for name in try files.names(in: folder) where name.hasSuffix(".jinja") {
        guard let text = try files.text("\(folder)/\(name)", limit: Limits.templateBytes) else { continue }
        chatTemplates.append(ChatTemplate(name: String(name.dropLast(6)), text: text))
      }
    } else if let json = try files.json("chat_template.json", limit: 1 << 22) {
      if let text = json.optional("chat_template") { chatTemplates = [ChatTemplate(text: try text.string())] }
    }
  }
}

extension Tokenizer {
  /// The tokenizer of a checkpoint's folder, of Hugging Face's or of Meta's form.
  public init(folder: String) throws { try self.init(TokenizerSources(PlainFolder(path: folder))) }
}

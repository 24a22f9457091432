import Bytes
import Checkpoints
import Tokenizers

/// A model's folder as the readers of tokenizers see it: nothing outside it is read.
private struct FolderFiles: TokenizerFiles {
  let folder: ModelFolder

  var path: String { folder.path }
  func path(of name: String) -> String { folder.joined(name) }

  func read(_ name: String, limit: Int) throws -> [UInt8]? {
    try folder.file(name) == nil ? nil : folder.open(name).readAll(limit: limit)
  }

  func names(in name: String?) throws -> [String] {
    guard let name else { return try folder.names() }
    return try folder.subfolder(name)?.names() ?? []
  }
}

extension ModelInput {
  /// The tokenizer of a checkpoint: nearest to what the user named. Meta's downloads of Llama 1 and 2 have one
  /// tokenizer.model for all models, in the folder above theirs.
  static func tokenizer(of checkpoint: Checkpoint) throws -> Tokenizer {
    var folders = [checkpoint.givenFolder, checkpoint.folder]
    if checkpoint.format == .meta {
      let above = try checkpoint.folder.parent()
      if try above.file("tokenizer.model") != nil, try above.file("config.json") == nil { folders.append(above) }
    }
    return try tokenizer(in: folders, config: checkpoint.config?.root, params: checkpoint.parameters?.root)
  }

  /// The tokenizer of the first of the folders that has one.
  /// - Parameters:
  ///   - config: the `config.json` of that folder, where it was read already; `params` is Meta's file.
  static func tokenizer(
    in folders: [ModelFolder], config: JSONValue? = nil, params: JSONValue? = nil
  ) throws -> Tokenizer {
    let folder = try folders.first { try TokenizerSources.mainFileNames.contains(where: $0.names().contains) }
    var sources = try TokenizerSources(FolderFiles(folder: folder ?? folders[0]), config: config)
    if let params { sources.generation = LlamaGeneration(params: params) }
    return try Tokenizer(sources)
  }
}

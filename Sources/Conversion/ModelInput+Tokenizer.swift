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
  /// The tokenizer of the first of the folders that has one.
  static func tokenizer(in folders: [ModelFolder]) throws -> Tokenizer {
    let folder = try folders.first { try TokenizerSources.mainFileNames.contains(where: $0.names().contains) }
    return try Tokenizer(TokenizerSources(FolderFiles(folder: folder ?? folders[0])))
  }
}

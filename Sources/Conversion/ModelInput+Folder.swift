import Bytes
import Checkpoints
import Models
import Tensors
import Tokenizers

extension ModelInput {
  /// A vocabulary of 128,000 tokens with its merges takes some 17 MB; nothing real comes near this.
  private static let tokenizerLimit = 1 << 28

  /// The tokenizer of a Hugging Face folder, its files read only from beneath it.
  static func tokenizer(in folder: ModelFolder) throws -> Tokenizer {
    guard let tokenizer = try folder.json("tokenizer.json", limit: tokenizerLimit) else {
      throw InputError(
        .missing, "tokenizer.json is missing", file: folder.path, remedy: "download the whole model folder")
    }
    var sources = TokenizerSources(
      tokenizer: tokenizer.root, configuration: try folder.json("tokenizer_config.json")?.root,
      specialTokensMap: try folder.json("special_tokens_map.json")?.root,
      modelConfiguration: try folder.json("config.json")?.root)
    if try folder.file("chat_template.jinja") != nil {
      let file = try folder.open("chat_template.jinja")
      guard let text = String(validating: try file.readAll(limit: 1 << 20), as: UTF8.self) else {
        throw InputError(.utf8, "not valid UTF-8", file: file.path)
      }
      sources.chatTemplates = [ChatTemplate(text: text)]
    }
    return try Tokenizer(sources)
  }

  /// All metadata of a GGUF of the checkpoint but the two keys that depend on the recipe.
  static func metadata(
    of checkpoint: Checkpoint, config: JSONValue, model: ModelSource, tokenizer: Tokenizer
  ) throws -> Metadata {
    let name = try checkpoint.folder.path == "." ? SystemCalls.canonicalPath(".") ?? "." : checkpoint.folder.path
    let folder = name.split(separator: "/").last { $0 != "." }.map(String.init) ?? name
    var metadata = try model.parameters.metadata(
      folder: folder, config: config, generation: checkpoint.generationConfig?.root,
      parameterCount: model.parameterCount, fileType: 0)
    metadata["general.file_type"] = nil
    metadata["general.quantization_version"] = nil
    metadata.merge(try tokenizer.ggufMetadata(vocabularySize: model.parameters.vocabularySize))
    return metadata
  }
}

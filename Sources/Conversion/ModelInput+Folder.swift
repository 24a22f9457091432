import Bytes
import Checkpoints
import Models
import Tensors
import Tokenizers

extension ModelInput {
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
    metadata.merge(try tokenizer.ggufMetadata(vocabularySize: model.parameters.vocabularySize, namesTurnEnds: true))
    return metadata
  }
}

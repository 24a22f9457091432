import Bytes
import Checkpoints
import Models
import Tensors
import Tokenizers

extension ModelInput {
  /// The parameters and mapped tensors of a checkpoint in either form, and what had to be concluded.
  static func model(of checkpoint: Checkpoint, _ options: Options) throws -> (ModelSource, notes: [String]) {
    if let params = checkpoint.parameters?.root {
      let meta = try MetaParameters(params: params, tensors: checkpoint.tensors, ropeFactor: options.ropeFactor)
      guard options.ropeFactor == nil || meta.parameters.ropeScaling != .none else {
        throw InputError(
          .unsupported, "the model does not scale its rotary frequencies, so --rope-factor has nothing to set",
          file: checkpoint.path, subject: "use_scaled_rope", remedy: "leave --rope-factor out")
      }
      let (tensors, isTied) = try meta.release.mayTieOutput ? untied(checkpoint.tensors) : (checkpoint.tensors, false)
      guard isTied else { return (try ModelSource(meta: meta, tensors: tensors), meta.notes) }
      let tied = try MetaParameters(params: params, tensors: tensors, ropeFactor: options.ropeFactor)
      return (
        try ModelSource(meta: tied, tensors: tensors),
        meta.notes + ["output.weight is the token embedding once more and is left out"]
      )
    }
    guard options.ropeFactor == nil else { throw notInMetasForm(checkpoint.path, layout: false) }
    guard let config = checkpoint.config?.root else {
      throw InputError(
        .missing, "config.json is missing", file: checkpoint.folder.path, remedy: "download the whole model folder")
    }
    return (try ModelSource(config: config, tensors: checkpoint.tensors), [])
  }

  static func notInMetasForm(_ path: String, layout: Bool) -> InputError {
    InputError(
      .unsupported,
      layout
        ? "a GGUF has one layout, so --layout has nothing to choose"
        : "the model states its rotary frequencies, so --rope-factor has nothing to set; it is for Meta's own form",
      file: path, remedy: "leave \(layout ? "--layout" : "--rope-factor") out")
  }

  /// Without `output.weight` when it is the token embedding, byte for byte, as in Meta's files of Llama 3.2.
  package static func untied(_ tensors: [Tensor]) throws -> ([Tensor], Bool) {
    guard let output = tensors.first(where: { $0.name == "output.weight" }),
      let embedding = tensors.first(where: { $0.name == "tok_embeddings.weight" }),
      output.shape == embedding.shape, output.dtype == embedding.dtype
    else { return (tensors, false) }
    let step = max(1, (1 << 20) / max(1, output.rowBytes))
    for first in stride(from: 0, to: output.rows, by: step) {
      let rows = first..<min(output.rows, first + step)
      guard try output.read(rows: rows) == embedding.read(rows: rows) else { return (tensors, false) }
    }
    return (tensors.filter { $0.name != "output.weight" }, true)
  }

  /// All metadata of a GGUF of the checkpoint but the two keys that depend on the recipe.
  static func metadata(
    of checkpoint: Checkpoint, card: ModelCard, model: ModelSource, tokenizer: Tokenizer
  ) throws -> Metadata {
    var metadata = try model.parameters.metadata(
      folder: name(of: checkpoint), config: checkpoint.config?.root,
      generation: checkpoint.generationConfig?.root, card: card, parameterCount: model.parameterCount, fileType: 0)
    metadata["general.file_type"] = nil
    metadata["general.quantization_version"] = nil
    metadata.merge(
      try tokenizer.ggufMetadata(vocabularySize: model.parameters.vocabularySize, namesTurnEnds: true))
    return metadata
  }

  /// The last component of the checkpoint's path that says something; every folder of Meta's files may be called `original`.
  static func name(of checkpoint: Checkpoint) throws -> String {
    func parts(_ path: String) -> [String] {
      var parts = path.split(separator: "/").filter { $0 != "." }.map(String.init)
      if checkpoint.format == .meta, parts.last == "original" { parts.removeLast() }
      return parts
    }
    let path = checkpoint.folder.path
    if let name = parts(path).last, name != ".." { return name }
    return try SystemCalls.canonicalPath(path).flatMap { parts($0).last } ?? path
  }
}

public import Bytes
public import Quantization
import Tensors

import GGUF
import Models

extension ConversionPlan {
  /// Decides types, sizes and places for converting `input` by `recipe`.
  ///
  /// Tensors lie in the order in which llama-quantize writes them (llama.cpp 0c1e57098, llama-quant.cpp): those of no block
  /// by name, then block by block, each by name. The keys that it sets stand last, as it leaves them, so that
  /// `llama-quantize COPY` of our file is the same file. The four keys of an importance matrix follow, but with names of
  /// files where it writes paths.
  /// - Parameters:
  ///   - isCalibrated: whether error feedback learns what the columns weigh: the same types as with an importance matrix then.
  ///   - provenance: what the file says of its making; nothing by default, so that it is the file of llama-quantize.
  /// - Throws: `RecipeError` for an override that matches nothing and the like; what the layout refuses.
  public init(
    _ input: ModelInput, recipe: Recipe, importance: ImportanceMatrix? = nil,
    isCalibrated: Bool = false, overriding overrides: [(key: String, value: MetadataOverrideValue)] = [],
    provenance: ConversionProvenance? = nil, limits: SplitLimits = .none
  ) throws {
    let tensors = TensorOrder.indices(of: input.model.tensors.map(\.name)).map { input.model.tensors[$0] }
    try importance?.check(against: tensors)
    let parameters = input.model.parameters
    let decisions = try recipe.decide(
      tensors,
      facts: RecipeFacts(
        layerCount: parameters.layerCount, headCount: parameters.headCount,
        keyValueHeadCount: parameters.keyValueHeadCount, expertCount: parameters.expertCount,
        hasImatrix: importance != nil || isCalibrated),
      hasImportance: { importance?.contains($0) ?? false })

    var metadata = input.metadata
    // Before the keys that llama-quantize sets anew, so that its COPY is the same file here too.
    for (key, value) in provenance?.metadata(type: recipe.fileType.name).entries ?? [] {
      metadata[key] = nil
      metadata[key] = value
    }
    metadata["general.quantization_version"] = nil
    metadata["general.quantization_version"] = .uint32(2)
    metadata["general.file_type"] = nil
    metadata["general.file_type"] = .uint32(recipe.fileType.id)
    for (key, value) in overrides {
      metadata[key] = nil
      metadata[key] = value.value
    }
    if let importance { metadata.describe(importance) }

    try self.init(tensors, decisions, metadata, limits: limits)
  }

  /// The plan as `--dry-run --json` prints it.
  /// - Parameter output: the path that the user gave.
  public func json(output: String) -> JSONText {
    let names = OutputSet.names(output, layouts)
    return .object([
      ("output", .string(names[0])), ("file_bytes", .int(fileBytes)), ("bits_per_weight", .double(bitsPerWeight)),
      ("bytes_read", .int(sourceBytes)),
      (
        "files",
        .array(
          zip(names, layouts).map { .object([("path", .string($0)), ("file_bytes", .int($1.fileSize))]) })
      ),
      ("tensors", .array(entries.map(\.json))),
    ])
  }
}

extension ConversionPlan.Entry {
  fileprivate var json: JSONText {
    .object([
      ("name", .string(source.name)), ("source_type", .string(source.dtype.name)), ("type", .string(type.name)),
      ("shape", .array(source.shape.dimensions.map { .int($0) })), ("bytes", .int(byteCount)), ("file", .int(file)),
      ("offset", .int(offset)), ("note", note.map { .string($0) } ?? .null),
    ])
  }
}

extension Metadata {
  /// What llama-quantize notes of an importance matrix, in its order. Paths of the machine are nobody's business: their last
  /// component stands for them.
  fileprivate mutating func describe(_ importance: ImportanceMatrix) {
    let name = { (path: String) in
      // As long as llama.cpp's buffer for it, but of whole characters.
      var name = path.split(separator: "/").last.map(String.init) ?? path
      while name.utf8.count > 127 { name.removeLast() }
      return MetadataValue.string(name)
    }
    let keys = [
      ("file", name(importance.file)), ("dataset", importance.datasets.first.map(name)),
      ("entries_count", .uint32(UInt32(clamping: importance.entries.count))),
      ("chunks_count", importance.chunkCount > 0 ? .uint32(UInt32(clamping: importance.chunkCount)) : nil),
    ]
    for (key, value) in keys { self["quantize.imatrix." + key] = nil; self["quantize.imatrix." + key] = value }
  }
}

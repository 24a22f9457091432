public import Bytes
public import Tensors

/// The `general.*` keys that stand before a model's own, from what lies beside the weights.
public enum GeneralMetadata {
  /// - Parameters:
  ///   - architecture: `llama`.
  ///   - folder: the last component of the checkpoint's path.
  ///   - config: `config.json`; its `_name_or_path` names the model when it is no path.
  ///   - generation: `generation_config.json`, whose sampling defaults are carried over.
  ///   - card: of the model's README.md; what it says goes before what the names say.
  ///   - parameterCount: elements of all tensors in the output.
  ///   - experts: when the model has experts, their number and the elements of all but one of every stack.
  /// - Returns: the keys in the order and types of convert_hf_to_gguf.py (llama.cpp 0c1e57098, gguf-py/gguf/metadata.py).
  public static func keys(
    architecture: String, folder: String, config: JSONValue?, generation: JSONValue?, card: ModelCard = ModelCard([]),
    parameterCount: Int, experts: (count: Int, otherElements: Int)? = nil
  ) throws(InputError) -> Metadata {
    var metadata = Metadata()
    metadata["general.architecture"] = .string(architecture)
    metadata["general.type"] = .string("model")
    if let generation { try addSampling(generation, to: &metadata) }

    var names: [ModelName] = []
    if let path = try config?.optional("_name_or_path")?.string("_name_or_path"),
      !path.isEmpty, path.utf8.count(where: { $0 == UInt8(ascii: "/") }) <= 1
    {
      names.append(ModelName(path, parameterCount: parameterCount))
    }
    names.append(ModelName(folder, parameterCount: parameterCount))

    // An empty text on the card is written nowhere, and yet keeps the names from being asked.
    func set(_ key: String, _ stated: String?, _ field: (ModelName) -> String? = { _ in nil }) {
      guard let value = stated ?? names.lazy.compactMap(field).first, !value.isEmpty else { return }
      metadata["general." + key] = .string(value)
    }
    set("name", card.text("name", "model_name")) { ModelName.title($0.full) }
    set("author", card.text("author", "model_author", "model_creator"))
    set("version", card.text("version", "model_version"), \.version)
    set("organization", card.text("organization", "model_organization")) { $0.organization.map(ModelName.title) }
    set("finetune", card.text("finetune", "model_finetune"), \.finetune)
    set("basename", card.text("basename", "model_basename", "model_type"), \.basename)
    set("description", card.text("description", "model_description"))
    let measured = experts.map { experts in
      "\(experts.count)x\(ModelName.sizeLabel(elements: parameterCount - experts.otherElements))"
    }
    set(
      "size_label",
      card.text("size_label", "model_size_label") ?? names.lazy.compactMap(\.sizeLabel).first
        ?? (parameterCount > 0 ? measured ?? ModelName.sizeLabel(elements: parameterCount) : nil))
    for key in ["license", "license_name", "license_link"] {
      set(key.replacingScalars { $0 == "_" ? "." : nil }, card.text(key))
    }
    for key in ["url", "doi", "uuid", "repo_url"] { set("source." + key, card.text(key, "model_" + key)) }
    add(
      card.references("base_model", "base_models", "base_model_sources", parameterCount: parameterCount), "base_model",
      to: &metadata)
    add(
      card.references("datasets", "dataset", "dataset_sources", parameterCount: parameterCount), "dataset",
      to: &metadata)
    for (key, texts) in [
      ("tags", card.texts("tags", "pipeline_tag")), ("languages", card.texts("languages", "language")),
    ]
    where !texts.isEmpty {
      metadata["general." + key] = .strings(texts)
    }
    return metadata
  }

  private static func add(_ references: [ModelCard.Reference]?, _ kind: String, to metadata: inout Metadata) {
    guard let references else { return }
    metadata["general.\(kind).count"] = .uint32(UInt32(clamping: references.count))
    for (index, reference) in references.enumerated() {
      for field in reference.fields where !field.value.isEmpty {
        metadata["general.\(kind).\(index).\(field.name)"] = .string(field.value)
      }
    }
  }

  private enum Kind { case text, whole, real }

  /// Sampling defaults: the key under `general.sampling.`, the names in `generation_config.json`, the type.
  private static let sampling: [(key: String, names: [String], kind: Kind)] = [
    ("sequence", ["sequence"], .text), ("top_k", ["top_k"], .whole), ("top_p", ["top_p"], .real),
    ("min_p", ["min_p"], .real), ("xtc_probability", ["xtc_probability"], .real),
    ("xtc_threshold", ["xtc_threshold"], .real), ("temp", ["temperature"], .real),
    ("penalty_last_n", ["penalty_last_n"], .whole),
    ("penalty_repeat", ["penalty_repeat", "repetition_penalty"], .real), ("mirostat", ["mirostat"], .whole),
    ("mirostat_tau", ["mirostat_tau"], .real), ("mirostat_eta", ["mirostat_eta"], .real),
  ]

  private static func addSampling(_ generation: JSONValue, to metadata: inout Metadata) throws(InputError) {
    for (key, names, kind) in sampling {
      guard let name = names.first(where: { generation[$0] != nil }), let value = generation.optional(name) else {
        continue
      }
      metadata["general.sampling.\(key)"] =
        switch kind {
        case .text: .string(try value.string(name))
        case .whole: .int32(Int32(try value.int(in: Int(Int32.min)...Int(Int32.max), name)))
        case .real: .float32(Float(try value.double(name)))
        }
    }
  }
}

extension LlamaParameters {
  /// All metadata of a Llama but the tokenizer's, in convert_hf_to_gguf.py's order; `tokenizer.*` follows.
  /// - Parameter fileType: llama.cpp's number of the recipe: 0 F32, 1 F16, 32 BF16, 15 Q4_K_M.
  public func metadata(
    folder: String, config: JSONValue?, generation: JSONValue?, card: ModelCard = ModelCard([]), parameterCount: Int,
    fileType: UInt32
  ) throws(InputError) -> Metadata {
    var metadata = try GeneralMetadata.keys(
      architecture: "llama", folder: folder, config: config, generation: generation, card: card,
      parameterCount: parameterCount,
      experts: expertCount > 0 ? (expertCount, (expertCount - 1) * expertSize * layerCount) : nil)
    metadata.merge(keys(fileType: fileType))
    metadata["general.quantization_version"] = .uint32(2)
    return metadata
  }
}

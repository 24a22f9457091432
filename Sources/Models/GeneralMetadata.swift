public import Bytes
public import Tensors

/// The `general.*` keys that stand before a model's own, from what lies beside the weights.
public enum GeneralMetadata {
  /// - Parameters:
  ///   - architecture: `llama`.
  ///   - folder: the last component of the checkpoint's path.
  ///   - config: `config.json`; its `_name_or_path` names the model when it is no path.
  ///   - generation: `generation_config.json`, whose sampling defaults are carried over.
  ///   - parameterCount: elements of all tensors in the output.
  ///   - experts: when the model has experts, their number and the elements of all but one of every stack.
  /// - Returns: the keys in the order and types of convert_hf_to_gguf.py (llama.cpp 0c1e57098, gguf-py/gguf/metadata.py).
  ///   Model cards (README.md) are not read, so licence, tags and base models are absent.
  public static func keys(
    architecture: String, folder: String, config: JSONValue?, generation: JSONValue?, parameterCount: Int,
    experts: (count: Int, otherElements: Int)? = nil
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

    func first(_ key: String, _ field: (ModelName) -> String?) {
      if let value = names.lazy.compactMap(field).first { metadata[key] = .string(value) }
    }
    first("general.name") { ModelName.title($0.full) }
    first("general.version", \.version)
    first("general.organization") { $0.organization.map(ModelName.title) }
    first("general.finetune", \.finetune)
    first("general.basename", \.basename)
    first("general.size_label", \.sizeLabel)
    if metadata["general.size_label"] == nil, parameterCount > 0 {
      let one = ModelName.sizeLabel(elements: parameterCount - (experts?.otherElements ?? 0))
      metadata["general.size_label"] = .string(experts.map { "\($0.count)x\(one)" } ?? one)
    }
    return metadata
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
    folder: String, config: JSONValue?, generation: JSONValue?, parameterCount: Int, fileType: UInt32
  ) throws(InputError) -> Metadata {
    var metadata = try GeneralMetadata.keys(
      architecture: "llama", folder: folder, config: config, generation: generation, parameterCount: parameterCount,
      experts: expertCount > 0 ? (expertCount, (expertCount - 1) * expertSize * layerCount) : nil)
    metadata.merge(keys(fileType: fileType))
    metadata["general.quantization_version"] = .uint32(2)
    return metadata
  }
}

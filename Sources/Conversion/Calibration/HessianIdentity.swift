import Bytes
import Crypto
import Models
import Tensors

/// What Hessians are of.
struct HessianIdentity: Hashable, Sendable {
  /// `ModelSource.fingerprint`.
  var model: String
  var layerCount: Int
  /// Of each text or set of texts that was summed, the SHA-256 of its chunks of tokens, in the order of summing.
  var slices: [String]
  /// The same for people.
  var texts: [String]
}

extension HessianIdentity {
  /// - Parameter paths: of the texts; their folders are left out.
  init(_ model: ModelSource, chunks: [[Int32]], paths: [String]) throws {
    let names = paths.map { $0.split(separator: "/").last.map(String.init) ?? $0 }.joined(separator: ", ")
    self.init(
      model: try model.fingerprint(), layerCount: model.parameters.layerCount,
      slices: [RunState.hash(of: chunks)],
      texts: ["\(names): \(chunks.count) chunks of \(chunks.first?.count ?? 0) tokens"])
  }

  static let prefix = "hessian."

  var metadata: Metadata {
    var metadata = Metadata()
    metadata["general.type"] = .string("hessian")
    metadata[Self.prefix + "version"] = .uint32(1)
    metadata[Self.prefix + "model"] = .string(model)
    metadata[Self.prefix + "layer_count"] = .uint32(UInt32(clamping: layerCount))
    metadata[Self.prefix + "slices"] = .strings(slices)
    metadata[Self.prefix + "texts"] = .strings(texts)
    return metadata
  }

  /// - Throws: `TYPE` for metadata of something else, `VERSION`, `MISSING`.
  init(_ metadata: Metadata) throws(InputError) {
    guard metadata["general.type"]?.string == "hessian" else {
      throw InputError(.type, "a GGUF, but not of Hessians", remedy: "give the folder of quern calibrate --hessian")
    }
    guard metadata[Self.prefix + "version"]?.integer == 1 else {
      throw InputError(.version, "Hessians of a version that is not known", remedy: "a newer release may know it")
    }
    func value<Value>(_ key: String, _ read: (MetadataValue) -> Value?) throws(InputError) -> Value {
      guard let value = metadata[Self.prefix + key].flatMap(read) else {
        throw InputError(
          .missing, "the key is missing or of another type", subject: Self.prefix + key, remedy: "calibrate again")
      }
      return value
    }
    self.init(
      model: try value("model", \.string), layerCount: try value("layer_count", \.integer),
      slices: try value("slices", \.strings), texts: try value("texts", \.strings))
    guard layerCount > 0, !slices.isEmpty, slices.count == texts.count else {
      throw InputError(
        .shape, "\(layerCount) blocks and \(texts.count) names for \(slices.count) texts",
        subject: Self.prefix + "texts",
        remedy: "calibrate again")
    }
  }
}

extension ModelSource {
  /// Tells weights apart, whatever file they are stored in: the SHA-256 of every tensor's name, shape and first, middle and
  /// last row as F32 numbers.
  func fingerprint() throws -> String {
    // Frequencies are computed from the configuration, or stored.
    let weights = tensors.filter { $0.name != "rope_freqs.weight" }.sorted {
      ExactString($0.name) < ExactString($1.name)
    }
    var hash = SHA256()
    for tensor in weights {
      hash.update(data: Array("\(tensor.name) \(tensor.shape)\n".utf8))
      for row in Set([0, tensor.rows / 2, tensor.rows - 1]).sorted() where row >= 0 && row < tensor.rows {
        hash.update(numbers: try tensor.values(of: row..<row + 1))
      }
    }
    return hexadecimalText(hash.finalize())
  }
}

import Bytes
public import Tensors

/// A model in one GGUF file or in a set of them, as one list of tensors.
///
/// The files of a set are named `NAME-00001-of-0000N.gguf` and carry `split.no` (from 0), `split.count` and
/// `split.tensors.count`; the model's metadata is in the first (llama.cpp 0c1e57098, `llama_model_loader`, gguf-split).
public struct GGUFModel: Sendable {
  /// Where a tensor lies.
  public struct Place: Hashable, Sendable {
    /// Number of the file in `files`.
    public let file: Int
    /// Bytes from its start.
    public let offset: Int
  }

  public let files: [GGUFFile]
  /// Whether they say that they are a set, of one file or more. A merged file does not.
  public let isSet: Bool
  /// Of the first file, without `split.*`.
  public let metadata: Metadata
  /// Of all files, in order.
  public let tensors: [Tensor]
  /// Where each of `tensors` lies.
  public let places: [Place]
  private let index: [ExactString: Int]

  /// Opens the file at `path` and, if it is one of a set, all others, which must lie beside it.
  /// - Throws: `InputError`: as `GGUFFile`; `MISSING` for shards or tensors that are not there, a `split.no` that no
  ///   set of `split.count` has, or a shard of another set; `NAME` for a shard that is not named as one; `DUP` for a tensor in two shards.
  public init(opening path: String) throws {
    let first = try GGUFFile(reading: path)
    let split = try Split(first)
    isSet = split != nil
    var files = [first]
    if let split, split.count > 1 {
      files = []
      for (number, other) in try split.paths(beside: path).enumerated() {
        let file = number == split.number ? first : try GGUFFile(reading: other)
        try split.checkMember(file, number)
        files.append(file)
      }
    }
    self.files = files
    var metadata = files[0].metadata
    for key in Split.keys { metadata[key] = nil }
    self.metadata = metadata

    var tensors: [Tensor] = []
    var places: [Place] = []
    var index: [ExactString: Int] = [:]
    for (number, file) in files.enumerated() {
      for (tensor, offset) in zip(file.tensors, file.offsets) {
        guard index.updateValue(tensors.count, forKey: ExactString(tensor.name)) == nil else {
          throw InputError(.duplicate, "the tensor is in two files of the set", file: file.path, subject: tensor.name)
        }
        tensors.append(tensor)
        places.append(Place(file: number, offset: offset))
      }
    }
    if files.count > 1 { try split?.checkTotal(files[0], tensors: tensors.count) }
    (self.tensors, self.places, self.index) = (tensors, places, index)
  }

  /// The tensor of that name, compared byte by byte.
  public func tensor(_ name: String) -> Tensor? { index[ExactString(name)].map { tensors[$0] } }

  /// `model` of `a/model.gguf`, and of `a/model-00001-of-00002.gguf` if it is of that set.
  public var name: String {
    let path = files[0].path
    let whole = isSet ? (try? Split(files[0])?.prefix(of: path)) ?? path : path
    let name = whole.split(separator: "/").last.map(String.init) ?? whole
    return name.hasSuffix(".gguf") ? String(name.dropLast(".gguf".count)) : name
  }
}

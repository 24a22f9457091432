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
  /// Of the first file, without `split.*`.
  public let metadata: Metadata
  /// Of all files, in order.
  public let tensors: [Tensor]
  /// Where each of `tensors` lies.
  public let places: [Place]
  private let index: [ExactString: Int]

  /// Opens the file at `path` and, if it is one of a set, all others, which must lie beside it.
  /// - Throws: `InputError`: as `GGUFFile`; `MISSING` for a shard or tensor that is not there or a `split.no` that no
  ///   set of `split.count` has; `NAME` for a shard that is not named as one; `DUP` for a tensor in two shards.
  public init(opening path: String) throws {
    let first = try GGUFFile(reading: path)
    var files = [first]
    if let split = try Split(first), split.count > 1 {
      let prefix = try split.prefix(of: path)
      files = []
      for number in 0..<split.count {
        let file = number == split.number ? first : try GGUFFile(reading: Split.name(prefix, number, of: split.count))
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
    if files.count > 1 { try Split.checkTotal(files[0], tensors: tensors.count) }
    (self.tensors, self.places, self.index) = (tensors, places, index)
  }

  /// The tensor of that name, compared byte by byte.
  public func tensor(_ name: String) -> Tensor? { index[ExactString(name)].map { tensors[$0] } }
}

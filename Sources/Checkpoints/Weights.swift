import Bytes
import Tensors

/// The files of weights that a path stands for, found and opened.
struct Weights {
  let format: Checkpoint.Format
  private(set) var files: [RandomAccessFile] = []
  private(set) var tensors: [Tensor] = []
  private(set) var notes: [String] = []

  /// One file of weights, read as what its content is.
  private struct Part {
    let format: Checkpoint.Format
    let file: RandomAccessFile
    let tensors: [Tensor]
    var notes: [String] = []

    /// - Parameter isSafetensors: what its name claims. A name that belies the content is an error, never a reason to try
    ///   another reader.
    init(_ file: RandomAccessFile, isSafetensors: Bool) throws {
      self.file = file
      if isSafetensors {
        format = .safetensors
        tensors = try SafetensorsFile(file).tensors
      } else {
        format = .torch
        let torch = try TorchFile(file, kind: FileKind(file))
        tensors = torch.tensors
        if !torch.otherKeys.isEmpty {
          let keys = torch.otherKeys.prefix(4).map { printable($0, limit: 40) }.joined(separator: ", ")
          notes = ["\(torch.otherKeys.count) entries beside the tensors are left out: \(keys)"]
        }
      }
    }
  }

  /// What Meta published.
  init(_ shards: MetaShards) {
    (format, files, tensors, notes) = (.meta, shards.files, shards.tensors, shards.notes)
  }

  /// What the user named: a file of weights, or an index.
  init(_ file: RandomAccessFile, in folder: ModelFolder) throws {
    let kind = try FileKind(file)
    if kind == .json, !WeightNames.isSafetensors(file.path) {
      try self.init(ShardIndex(file), in: folder)
      return
    }
    switch kind {
    case _ where WeightNames.isSafetensors(file.path), .safetensors:
      try self.init([Part(file, isSafetensors: true)])
    case .torchZip, .torchLegacy, .tar:
      try self.init([Part(file, isSafetensors: false)])
    default:
      throw kind.refusal(expected: "a checkpoint", file: file.path)
    }
  }

  /// Whether a folder holds weights under Hugging Face's names.
  static func areIn(_ folder: ModelFolder) throws -> Bool {
    let names = try folder.names()
    return try [WeightNames.safetensors, WeightNames.torch].contains { single, index in
      try names.contains(index) || WeightNames.complete(single, among: names, folder: folder.path) != nil
    }
  }

  /// What a folder holds. Safetensors win over pickles of the same weights.
  init(in folder: ModelFolder) throws {
    let names = try folder.names()
    for (single, index) in [WeightNames.safetensors, WeightNames.torch] {
      if names.contains(index) {
        let index = try ShardIndex(folder.open(index))
        guard !names.contains(single) || index.shards.contains(single) else {
          throw InputError(
            .duplicate, "holds two models: \(single), and the shards of \(index.path)", file: folder.path,
            remedy: "give the path of the one that you mean")
        }
        try self.init(index, in: folder)
      } else if let shards = try WeightNames.complete(single, among: names, folder: folder.path) {
        try self.init(shards.map { try Part(folder.open($0), isSafetensors: WeightNames.isSafetensors($0)) })
      } else {
        continue
      }
      if format == .safetensors, names.contains(where: { $0.hasPrefix("pytorch_model") && $0.hasSuffix(".bin") }) {
        notes.append("pytorch_model*.bin is not read, the safetensors beside it are")
      }
      if names.contains(where: { MetaNames.number(of: $0) != nil }) {
        notes.append("consolidated.*.pth is not read; --layout meta reads it")
      }
      return
    }
    throw WeightNames.nothing(among: names, folder: folder.path)
  }

  private init(_ index: ShardIndex, in folder: ModelFolder) throws {
    let parts = try index.shards.map { try Part(folder.open($0), isSafetensors: WeightNames.isSafetensors($0)) }
    try index.check(parts.map(\.tensors))
    try self.init(parts)
  }

  private init(_ parts: [Part]) throws {
    format = parts.first?.format ?? .safetensors
    var names: [ExactString: String] = [:]
    for part in parts {
      guard part.format == format else {
        throw InputError(.unsupported, "shards of one model in two formats", file: part.file.path)
      }
      for tensor in part.tensors {
        if let other = names.updateValue(part.file.path, forKey: ExactString(tensor.name)) {
          throw InputError(.duplicate, "the tensor stands also in \(other)", file: part.file.path, subject: tensor.name)
        }
      }
      files.append(part.file)
      tensors += part.tensors
      notes += part.notes
    }
  }
}

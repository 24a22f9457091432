import Bytes
import Tensors

/// The files of weights that a path stands for, found and opened.
struct Weights {
  var format: Checkpoint.Format
  var files: [RandomAccessFile]
  var tensors: [Tensor]
  var notes: [String] = []

  private static let single = "model.safetensors"
  private static let index = "model.safetensors.index.json"

  /// What the user named: a file of weights, or an index.
  init(_ file: RandomAccessFile, in folder: ModelFolder) throws {
    let kind = try FileKind(file)
    let claimsSafetensors = file.path.utf8.suffix(12).elementsEqual(".safetensors".utf8)
    switch kind {
    case .safetensors:
      try self.init(safetensors: [SafetensorsFile(file)])
    case .json:
      try self.init(ShardIndex(file), in: folder)
    case _ where claimsSafetensors:
      // Never read as what the name belies; the reader says what is wrong.
      try self.init(safetensors: [SafetensorsFile(file)])
    case .torchZip, .torchLegacy, .tar:
      throw Weights.unsupported(kind.rawValue, file.path)
    default:
      throw kind.refusal(expected: "a checkpoint", file: file.path)
    }
  }

  /// What a folder holds.
  init(in folder: ModelFolder) throws {
    let names = try folder.names()
    let hasSingle = names.contains(Weights.single)
    if names.contains(Weights.index) {
      let index = try ShardIndex(folder.open(Weights.index))
      guard !hasSingle || index.shards.contains(Weights.single) else {
        throw InputError(
          .duplicate, "holds two models: \(Weights.single), and the shards of \(Weights.index)", file: folder.path,
          remedy: "give the path of the one that you mean")
      }
      try self.init(index, in: folder)
    } else if hasSingle {
      try self.init(safetensors: [SafetensorsFile(folder.open(Weights.single))])
    } else {
      let found = names.filter { $0.hasSuffix(".safetensors") }
      guard !found.isEmpty else { throw Weights.nothing(in: folder, names) }
      try self.init(safetensors: Weights.completeSet(found, in: folder).map { try SafetensorsFile(folder.open($0)) })
    }
    let pickles = names.filter { $0.hasSuffix(".bin") && $0.hasPrefix("pytorch_model") }
    if !pickles.isEmpty { notes.append("pytorch_model*.bin is not read, the safetensors beside it are") }
  }

  private init(_ index: ShardIndex, in folder: ModelFolder) throws {
    let files = try index.shards.map { try SafetensorsFile(folder.open($0)) }
    try index.check(files.map(\.tensors))
    self.init(opened: files)
  }

  private init(safetensors files: [SafetensorsFile]) throws {
    var names: [ExactString: String] = [:]
    for file in files {
      for tensor in file.tensors {
        if let other = names.updateValue(file.file.path, forKey: ExactString(tensor.name)) {
          throw InputError(
            .duplicate, "the tensor stands also in \(other)", file: file.file.path, subject: tensor.name)
        }
      }
    }
    self.init(opened: files)
  }

  private init(opened files: [SafetensorsFile]) {
    format = .safetensors
    self.files = files.map(\.file)
    tensors = files.flatMap(\.tensors)
  }

  /// Without an index, the one file there is, or the shards `NAME-00001-of-0000N` when all of them are there.
  private static func completeSet(_ names: [String], in folder: ModelFolder) throws(InputError) -> [String] {
    if names.count == 1, shard(names[0]) == nil { return names }
    guard let (stem, _, count) = shard(names[0]), names.allSatisfy({ shard($0)?.stem == stem }) else {
      throw InputError(
        .missing, "holds \(names.count) safetensors files, and nothing says which of them are the model",
        file: folder.path, remedy: "give the path of one file, or add model.safetensors.index.json")
    }
    for (place, name) in names.enumerated() {
      guard let (_, number, total) = shard(name), total == count, number == place + 1 else {
        throw missingShard(place + 1, of: count, folder)
      }
    }
    guard names.count == count else { throw missingShard(names.count + 1, of: count, folder) }
    return names
  }

  private static func missingShard(_ number: Int, of count: Int, _ folder: ModelFolder) -> InputError {
    InputError(
      .missing, "shard \(number) of \(count) is missing", file: folder.path, remedy: "download the missing file")
  }

  /// `("model", 1, 3)` of `model-00001-of-00003.safetensors`.
  private static func shard(_ name: String) -> (stem: String, number: Int, count: Int)? {
    let parts = name.dropLast(".safetensors".count).split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count >= 4, parts[parts.count - 2] == "of", let number = Int(parts[parts.count - 3]),
      let count = Int(parts[parts.count - 1])
    else { return nil }
    return (parts.dropLast(3).joined(separator: "-"), number, count)
  }

  private static func nothing(in folder: ModelFolder, _ names: [String]) -> InputError {
    if let name = names.first(where: { $0.hasPrefix("pytorch_model") || $0.hasSuffix(".pth") || $0.hasSuffix(".pt") }) {
      return unsupported(
        name.hasPrefix("consolidated") ? "Meta shards (\(name))" : "PyTorch pickles (\(name))", folder.path)
    }
    if names.contains(where: { $0.hasSuffix(".gguf") }) {
      return InputError(
        .missing, "holds no safetensors, but GGUF files", file: folder.path,
        remedy: "give the path of the GGUF file itself")
    }
    return InputError(
      .missing, "holds no model: model.safetensors or model.safetensors.index.json expected", file: folder.path,
      remedy: "check the path, or download the weights")
  }

  private static func unsupported(_ what: String, _ path: String) -> InputError {
    InputError(
      .unsupported, "\(what) cannot be read yet", file: path,
      remedy: "use the model's safetensors: model.safetensors, or its shards with model.safetensors.index.json")
  }
}

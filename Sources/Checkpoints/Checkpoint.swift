public import Bytes
public import Tensors

/// A model's weights as they were downloaded: lazy tensors, the configuration and the files beside them.
///
/// ```swift
/// let checkpoint = try Checkpoint(opening: "SmolLM2-135M")
/// let rows = try checkpoint.tensors[0].read(rows: 0..<16)
/// ```
public struct Checkpoint: Sendable {
  public enum Format: String, Sendable {
    case safetensors
    case torch = "pytorch"
    case meta
  }

  /// Which of two forms to read, where a folder may hold a model in both.
  public enum Layout: String, Sendable, CaseIterable {
    /// Hugging Face's files; Meta's where there are none.
    case automatic = "auto"
    case huggingFace = "hf"
    /// Meta's files, in the folder itself or in `original` in it.
    case meta
  }

  /// As the user gave it.
  public let path: String
  public let format: Format
  /// Files in the order of their names; the tensors of a safetensors file sorted by the bytes of theirs, those of a
  /// PyTorch file as they were saved. This is the order in which llama.cpp's converter meets them (0c1e57098). In Meta's
  /// form they have Meta's names and are whole, gathered from the shards.
  public let tensors: [Tensor]
  /// Where the weights lie, for the other files of the model.
  public let folder: ModelFolder
  /// What the user named, or the folder of the file that the user named: not `folder` when that is `original` in it.
  public let givenFolder: ModelFolder
  /// `config.json`.
  public let config: JSONDocument?
  /// `params.json`, of Meta's form alone.
  public let parameters: JSONDocument?
  /// `generation_config.json`.
  public let generationConfig: JSONDocument?
  /// The files that hold the tensors.
  public let inputFiles: [RandomAccessFile]
  /// Bytes of all tensors.
  public let totalBytes: Int
  /// What is unusual and yet no error, a sentence each.
  public let notes: [String]

  /// Opens a folder, a file of weights or the index of sharded ones; what it is is told by its content.
  /// - Throws: `InputError`; `MISSING` when there are no weights, `UNSUPPORTED` for weights of a kind not read yet.
  public init(opening path: String, layout: Layout = .automatic) throws {
    let (given, file) = try Checkpoint.open(path)
    let weights: Weights
    if let meta = try Checkpoint.metaFolder(path, in: given, isFolder: file == nil, layout) {
      let shards = try MetaShards(in: meta)
      (folder, parameters, config) = (meta, shards.parameters, nil)
      weights = Weights(shards)
    } else {
      weights = try file.map { try Weights($0, in: given) } ?? Weights(in: given)
      (folder, parameters, config) = (given, nil, try given.json("config.json"))
    }
    givenFolder = given
    self.path = path
    format = weights.format
    tensors = weights.tensors
    inputFiles = weights.files
    totalBytes = try weights.tensors.reduce(0) { try SizeArithmetic.sum($0, $1.byteCount) }
    generationConfig = try given.json("generation_config.json")
    notes = weights.notes + Checkpoint.notes(on: config)
  }

  /// The folder in which the weights of `path` would be looked for; nothing in it is opened.
  public static func weightsFolder(of path: String, layout: Layout = .automatic) throws -> ModelFolder {
    let (given, file) = try open(path)
    return try metaFolder(path, in: given, isFolder: file == nil, layout) ?? given
  }

  /// A folder, or a file and the folder that it lies in.
  private static func open(_ path: String) throws -> (ModelFolder, RandomAccessFile?) {
    guard !path.utf8.contains(0) else { throw InputError(.path, "the name holds a NUL byte", file: path) }
    if try SystemCalls.status(at: path)?.isDirectory == true { return (try ModelFolder(path), nil) }
    let file = try RandomAccessFile(path)
    return (try ModelFolder(parent(of: path)), file)
  }

  /// The folder with the shards to read, if Meta's form it is.
  private static func metaFolder(
    _ path: String, in folder: ModelFolder, isFolder: Bool, _ layout: Layout
  ) throws -> ModelFolder? {
    guard isFolder else {
      // One shard stands for all of them; without params.json it is any file of PyTorch's.
      let name = path.split(separator: "/").last.map(String.init) ?? path
      let isShard = try MetaNames.number(of: name) != nil && folder.file(MetaNames.parameters) != nil
      guard isShard || layout != .meta else {
        throw InputError(
          .missing, "is no consolidated.NN.pth with params.json beside it", file: path,
          remedy: "give the folder, or leave --layout out")
      }
      return isShard && layout != .huggingFace ? folder : nil
    }
    switch layout {
    case .huggingFace: return nil
    case .automatic: return try Weights.areIn(folder) ? nil : MetaShards.folder(in: folder)
    case .meta:
      guard let meta = try MetaShards.folder(in: folder) else {
        throw InputError(
          .missing, "neither the folder nor \(MetaNames.folder)/ in it holds consolidated.00.pth", file: path,
          remedy: "download Meta's files, or leave --layout out")
      }
      return meta
    }
  }

  /// The folder with Meta's own files in a repository of Hugging Face, if there is one.
  public static func originals(in folder: ModelFolder) throws -> [ModelFolder] {
    try folder.subfolder(MetaNames.folder).map { [$0] } ?? []
  }

  /// - Throws: `CHANGED` when a file of the model was written to, replaced or removed since it was opened.
  public func checkUnchanged() throws {
    for file in inputFiles { try file.checkUnchanged() }
    for folder in [folder, givenFolder] { try folder.checkUnchanged() }
  }

  private static func notes(on config: JSONDocument?) -> [String] {
    guard config?.root.optional("auto_map") != nil else { return [] }
    return ["config.json names Python code of its own (auto_map); it is never run"]
  }

  private static func parent(of path: String) -> String {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
    return slash == path.utf8.startIndex ? "/" : String(path[..<slash])
  }
}

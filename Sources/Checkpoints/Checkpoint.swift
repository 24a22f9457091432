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
  }

  /// As the user gave it.
  public let path: String
  public let format: Format
  /// Files in the order of their names; the tensors of a safetensors file sorted by the bytes of theirs, those of a
  /// PyTorch file as they were saved. This is the order in which llama.cpp's converter meets them (0c1e57098).
  public let tensors: [Tensor]
  /// Where the weights lie, for the other files of the model.
  public let folder: ModelFolder
  /// `config.json`.
  public let config: JSONDocument?
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
  public init(opening path: String) throws {
    guard !path.utf8.contains(0) else { throw InputError(.path, "the name holds a NUL byte", file: path) }
    let weights: Weights
    if let status = try SystemCalls.status(at: path), status.isDirectory {
      folder = try ModelFolder(path)
      weights = try Weights(in: folder)
    } else {
      let file = try RandomAccessFile(path)
      folder = try ModelFolder(Checkpoint.parent(of: path))
      weights = try Weights(file, in: folder)
    }
    self.path = path
    format = weights.format
    tensors = weights.tensors
    inputFiles = weights.files
    totalBytes = try weights.tensors.reduce(0) { try SizeArithmetic.sum($0, $1.byteCount) }
    config = try folder.json("config.json")
    generationConfig = try folder.json("generation_config.json")
    notes = weights.notes + Checkpoint.notes(on: config)
  }

  /// - Throws: `CHANGED` when a file of weights was written to since it was opened.
  public func checkUnchanged() throws {
    for file in inputFiles { try file.checkUnchanged() }
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

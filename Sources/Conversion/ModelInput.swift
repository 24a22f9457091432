import Bytes
public import Models
public import Tensors
public import Tokenizers

import Checkpoints
import GGUF

/// A model opened for conversion or for a walk, whatever it was stored as: GGUF-named lazy tensors with the parameters that
/// they fit, and the metadata that belongs in a GGUF of it.
public struct ModelInput: Sendable {
  /// What was opened.
  public enum Origin: Sendable {
    case checkpoint(Checkpoint)
    case gguf(GGUFModel)
  }

  /// As the user gave it.
  public let path: String
  public let origin: Origin
  public let model: ModelSource
  public let tokenizer: Tokenizer
  /// Everything for a GGUF of this model but `general.file_type` and `general.quantization_version`.
  public let metadata: Metadata
  /// What is unusual and yet no error, a sentence each.
  public let notes: [String]

  /// - Throws: `InputError`: `MISSING`, `UNSUPPORTED` for an architecture or format that is not read, and all that the
  ///   readers throw.
  public init(opening path: String) throws {
    self.path = path
    if let gguf = try ModelInput.gguf(at: path) {
      origin = .gguf(gguf)
      try gguf.checkModel()
      model = try ModelSource(metadata: gguf.metadata, tensors: gguf.tensors, file: path)
      tokenizer = try Tokenizer(metadata: gguf.metadata)
      metadata = gguf.metadata
      notes = []
    } else {
      try ModelInput.refuseForeignFamily(at: path)
      let checkpoint = try Checkpoint(opening: path)
      origin = .checkpoint(checkpoint)
      guard let config = checkpoint.config?.root else {
        throw InputError(
          .missing, "config.json is missing", file: checkpoint.folder.path, remedy: "download the whole model folder")
      }
      model = try ModelSource(config: config, tensors: checkpoint.tensors)
      tokenizer = try ModelInput.tokenizer(in: checkpoint.folder)
      metadata = try ModelInput.metadata(of: checkpoint, config: config, model: model, tokenizer: tokenizer)
      notes = checkpoint.notes
    }
  }

  /// Asks the configuration alone, so that a family that is not read is refused before any weight is opened.
  private static func refuseForeignFamily(at path: String) throws {
    guard try SystemCalls.status(at: path)?.isDirectory == true,
      let config = try ModelFolder(path).json("config.json")
    else { return }
    try ForeignFamily.refuse(config.root)
  }

  /// The tokenizer alone; the weights need not be there.
  public static func tokenizer(of path: String) throws -> Tokenizer {
    if let gguf = try gguf(at: path) { return try Tokenizer(metadata: gguf.metadata) }
    let isFolder = try SystemCalls.status(at: path)?.isDirectory == true
    return try tokenizer(in: isFolder ? ModelFolder(path) : Checkpoint(opening: path).folder)
  }

  /// Bytes of the files that hold the weights.
  public var fileBytes: Int {
    switch origin {
    case .checkpoint(let checkpoint): checkpoint.inputFiles.reduce(0) { $0 + $1.size }
    case .gguf(let gguf): gguf.files.reduce(0) { $0 + $1.file.size }
    }
  }

  public var bitsPerWeight: Double {
    Double(model.tensors.reduce(0) { $0 + $1.byteCount }) * 8 / Double(max(1, model.parameterCount))
  }

  /// - Throws: `CHANGED` when a file of the input was written to since it was opened.
  public func checkUnchanged() throws {
    switch origin {
    case .checkpoint(let checkpoint): try checkpoint.checkUnchanged()
    case .gguf(let gguf): for file in gguf.files { try file.file.checkUnchanged() }
    }
  }

  /// The model if `path` is a GGUF; `nil` when it is anything else.
  private static func gguf(at path: String) throws -> GGUFModel? {
    guard try SystemCalls.status(at: path)?.isRegular == true, try FileKind(RandomAccessFile(path)) == .gguf else {
      return nil
    }
    return try GGUFModel(opening: path)
  }
}

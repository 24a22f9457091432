import Bytes
public import Checkpoints
public import GGUF
public import Models
public import Tensors
public import Tokenizers

/// A model opened for conversion or for a walk, whatever it was stored as: GGUF-named lazy tensors with the parameters that
/// they fit, and the metadata that belongs in a GGUF of it.
public struct ModelInput: Sendable {
  /// What was opened.
  public enum Origin: Sendable {
    case checkpoint(Checkpoint)
    case gguf(GGUFModel)
  }

  public typealias Layout = Checkpoint.Layout

  /// How to read what can be read in more than one way.
  public struct Options: Sendable {
    public var layout = Checkpoint.Layout.automatic
    /// What low rotary frequencies are divided by, where Meta's params.json does not say it.
    public var ropeFactor: Double?

    public init(layout: Checkpoint.Layout = .automatic, ropeFactor: Double? = nil) {
      (self.layout, self.ropeFactor) = (layout, ropeFactor)
    }
  }

  /// As the user gave it.
  public let path: String
  public let origin: Origin
  public internal(set) var model: ModelSource
  public let tokenizer: Tokenizer
  /// Everything for a GGUF of this model but `general.file_type` and `general.quantization_version`.
  public let metadata: Metadata
  /// What is unusual and yet no error, a sentence each.
  public let notes: [String]

  /// - Throws: `InputError`: `MISSING`, `UNSUPPORTED` for an architecture, a format or an option that does not apply, and
  ///   all that the readers throw.
  public init(opening path: String, _ options: Options = Options()) throws {
    self.path = path
    if let gguf = try ModelInput.gguf(at: path) {
      guard options.layout == .automatic, options.ropeFactor == nil else {
        throw ModelInput.notInMetasForm(path, layout: options.layout != .automatic)
      }
      origin = .gguf(gguf)
      try gguf.checkModel()
      model = try ModelSource(metadata: gguf.metadata, tensors: gguf.tensors, file: path)
      tokenizer = try Tokenizer(metadata: gguf.metadata)
      metadata = gguf.metadata
      notes = []
      return
    }
    try ModelInput.refuseForeignFamily(at: path)
    let checkpoint = try Checkpoint(opening: path, layout: options.layout)
    origin = .checkpoint(checkpoint)
    let (model, notes) = try ModelInput.model(of: checkpoint, options)
    var tokenizer = try ModelInput.tokenizer(of: checkpoint)
    let dropped = tokenizer.dropAddedTokens(beyond: model.parameters.vocabularySize)
    (self.model, self.tokenizer) = (model, tokenizer)
    let (card, cardNote) = ModelCardFile.read(in: checkpoint.givenFolder)
    metadata = try ModelInput.metadata(of: checkpoint, card: card, model: model, tokenizer: tokenizer)
    self.notes =
      checkpoint.notes + notes + (cardNote.map { [$0] } ?? [])
      + (dropped.isEmpty ? [] : ["left out, since the embedding has no row for them: " + ModelInput.list(dropped)])
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
    guard try SystemCalls.status(at: path)?.isDirectory == true else {
      return try tokenizer(of: Checkpoint(opening: path))
    }
    let folder = try ModelFolder(path)
    return try tokenizer(in: [folder] + Checkpoint.originals(in: folder))
  }

  /// What its files are called: of a checkpoint its folder, of a GGUF or a set of them their name without what every GGUF
  /// has and without its number in the set.
  public var name: String {
    get throws {
      switch origin {
      case .checkpoint(let checkpoint): try ModelInput.name(of: checkpoint)
      case .gguf(let gguf): gguf.name
      }
    }
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

  private static func list(_ names: [String]) -> String {
    names.prefix(8).map { printable($0, limit: 40) }.joined(separator: ", ") + (names.count > 8 ? ", …" : "")
  }

  /// The model if `path` is a GGUF; `nil` when it is anything else.
  private static func gguf(at path: String) throws -> GGUFModel? {
    guard try SystemCalls.status(at: path)?.isRegular == true, try FileKind(RandomAccessFile(path)) == .gguf else {
      return nil
    }
    return try GGUFModel(opening: path)
  }
}

import Bytes
import Models
import Quantization
import Tensors

/// Hessians of all blocks of a model, summed over the model as it is: a folder with a file a block, `blk.0.gguf` and so on.
///
/// A file stands under its name when it is complete, so that a run that was killed has whole blocks. Sums of several texts are
/// added with `merge`.
public struct HessianFolder: Sendable {
  public let path: String
  let identity: HessianIdentity

  /// Opens a folder by its first block; `check` proves the rest.
  /// - Throws: `MISSING` when there is none, what a file that is damaged or of something else is refused with.
  public init(reading path: String) throws {
    self.path = path
    identity = try HessianFile(reading: HessianFolder.file(0, in: path)).identity
  }

  /// Makes the folder, if it is not there, for blocks that are to be written.
  /// - Parameter overwrites: whether files of other Hessians may be replaced. Those of the same ones always are: an earlier
  ///   run was killed.
  /// - Throws: `PATH` for a file of something else under the name of a block.
  init(writing path: String, _ identity: HessianIdentity, overwrites: Bool) throws {
    (self.path, self.identity) = (path, identity)
    try SystemCalls.makeFolder(path)
    guard !overwrites else { return }
    for layer in 0..<identity.layerCount {
      let file = HessianFolder.file(layer, in: path)
      guard try SystemCalls.status(at: file) != nil else { continue }
      guard let found = try? HessianFile(reading: file), found.identity == identity else {
        throw InputError(
          .path, "exists already, and is of another model or text", file: file,
          remedy: "use --force to replace it, or another folder")
      }
    }
  }

  func write(_ hessians: LayerHessians, layer: Int, _ parameters: LlamaParameters) throws {
    try HessianFile.write(
      hessians, layer: layer, identity, parameters,
      to: OutputFile(HessianFolder.file(layer, in: path), overwrites: true))
  }

  /// What the inputs of block `layer` came to.
  /// - Throws: what `check` throws; `CRC` for a file that is not as it was written; `NONFINITE`.
  func hessians(layer: Int, _ parameters: LlamaParameters) throws -> LayerHessians {
    try proved(layer, parameters).read(parameters)
  }

  /// Proves the headers of the blocks before `end`, or of all: that they are there, of these Hessians, and fit the model.
  /// - Throws: `MISSING`, `CRC` for other weights or texts, what else is wrong with a file, naming it.
  public func check(against input: ModelInput, before end: Int? = nil) throws {
    try check(against: input, input.model.fingerprint(), 0..<(end ?? input.model.parameters.layerCount))
  }

  /// - Parameter fingerprint: of the input.
  private func check(against input: ModelInput, _ fingerprint: String, _ layers: Range<Int>) throws {
    let parameters = input.model.parameters
    guard identity.model == fingerprint, identity.layerCount == parameters.layerCount else {
      throw InputError(
        .checksum, "the Hessians are of a model with other weights", file: path, subject: input.path,
        remedy: "calibrate this model, or give the one that was calibrated")
    }
    for layer in layers { _ = try file(layer, parameters) }
  }

  private func file(_ layer: Int, _ parameters: LlamaParameters) throws -> HessianFile {
    let path = HessianFolder.file(layer, in: path)
    let file = try HessianFile(reading: path)
    guard file.identity == identity, file.layer == layer else {
      throw InputError(
        .checksum, "is of another block, model or text than the rest of its folder", file: path,
        remedy: "calibrate again into an empty folder")
    }
    try file.check(against: parameters)
    return file
  }

  /// The file of a block of which sums are to be read.
  private func proved(_ layer: Int, _ parameters: LlamaParameters) throws -> HessianFile {
    let file = try file(layer, parameters)
    try file.prove()
    return file
  }

  private static func file(_ layer: Int, in path: String) -> String { "\(path)/blk.\(layer).gguf" }
}

extension HessianFolder {
  /// What was summed, for people.
  public var texts: [String] { identity.texts }

  /// Adds the Hessians of several texts, block after block, element by element in F64 in the order of `folders`. Blocks that
  /// an earlier run has written stay.
  /// - Parameter layers: blocks that are wanted; all when `nil`.
  /// - Throws: `CRC` for folders of another model than `input` and for files that are not as they were written; `DUP` when a
  ///   text is in two; `MISSING` for a block.
  public static func merge(
    _ folders: [HessianFolder], into path: String, for input: ModelInput, layers: Range<Int>? = nil,
    overwrites: Bool = false, progress: ProgressHandler? = nil
  ) throws -> HessianFolder {
    let (parameters, fingerprint) = (input.model.parameters, try input.model.fingerprint())
    let layers = layers ?? 0..<parameters.layerCount
    for folder in folders { try folder.check(against: input, fingerprint, layers) }
    var identity = HessianIdentity(
      model: fingerprint, layerCount: parameters.layerCount, slices: [], texts: [])
    for folder in folders {
      if let twice = folder.identity.slices.firstIndex(where: identity.slices.contains) {
        throw InputError(
          .duplicate, "its text is in the sum already", file: folder.path, subject: folder.identity.texts[twice],
          remedy: "leave one of the two out")
      }
      identity.slices += folder.identity.slices
      identity.texts += folder.identity.texts
    }
    let merged = try HessianFolder(writing: path, identity, overwrites: overwrites)
    for layer in layers {
      if (try? merged.file(layer, parameters)) == nil {
        try HessianFile.merge(
          folders.map { try $0.proved(layer, parameters) }, layer: layer, identity, parameters,
          to: OutputFile(file(layer, in: path), overwrites: true))
      }
      progress?(Progress("adding Hessians", unit: .steps, done: layer + 1 - layers.lowerBound, total: layers.count))
    }
    return merged
  }

  /// Removes the files of some blocks, if they are there.
  static func remove(_ layers: Range<Int>, in path: String) throws {
    for layer in layers where try SystemCalls.status(at: file(layer, in: path)) != nil {
      try SystemCalls.unlink(file(layer, in: path))
    }
  }
}

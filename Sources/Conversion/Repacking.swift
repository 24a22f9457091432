import Bytes
public import GGUF

/// The tensors and metadata of a GGUF or a split set as they are, in other files: what `quern split` and `quern merge` do.
///
/// Nothing is asked of what the file holds, so importance matrices and families that are not converted can be split too.
public struct Repacking: Sendable {
  /// Of the files to be written.
  public let layouts: [GGUFLayout]
  private let model: GGUFModel
  /// The file and offset of every tensor in the output.
  private let places: [(file: Int, offset: Int)]

  /// Into a set as llama-gguf-split would write it; a set again may be cut otherwise. What fits in one file is a set of one.
  /// - Throws: what the reader and the layout refuse.
  public init(splitting path: String, limits: SplitLimits) throws {
    try self.init(GGUFModel(opening: path), limits: limits, isSet: true)
  }

  /// Into one file without the keys of a set: the one that was split, byte for byte, if its padding was ordinary.
  /// - Throws: `UNSUPPORTED` when the file says of no set that it is of; what the reader and the layout refuse.
  public init(merging path: String) throws {
    let model = try GGUFModel(opening: path)
    guard model.isSet else {
      throw InputError(
        .unsupported, "is no file of a split set, so there is nothing to merge", file: path,
        remedy: "give the first file of the set, NAME-00001-of-0000N.gguf")
    }
    try self.init(model, limits: .none, isSet: false)
  }

  private init(_ model: GGUFModel, limits: SplitLimits, isSet: Bool) throws {
    self.model = model
    layouts = try GGUFLayout.set(
      metadata: model.metadata, tensors: model.tensors.map { ($0.name, $0.dtype, $0.shape) }, limits: limits,
      keepsOne: isSet)
    places = layouts.enumerated().flatMap { file, layout in layout.entries.map { (file, $0.offset) } }
  }

  public var tensorCount: Int { model.tensors.count }
  public var fileBytes: Int { layouts.reduce(0) { $0 + $1.fileSize } }

  /// Consecutive bytes of a tensor.
  private struct Piece {
    var tensor: Int
    var range: Range<Int>
  }

  private static let pieceBytes = 1 << 22

  /// Copies everything into `output` and publishes it.
  /// - Throws: errors of reading and writing, `CHANGED` when the input changed meanwhile; the temporary files are removed then.
  public func run(
    into output: OutputSet, jobs: Int, progress: ProgressHandler? = nil
  ) throws -> [WrittenFile] {
    let sink = OrderedOutput(output, layouts)
    do {
      _ = try sink.begin()
      let written = try copy(into: sink, jobs: jobs, progress)
      for file in model.files { try file.file.checkUnchanged() }
      try output.publish()
      return written
    } catch {
      sink.abandon(after: error)
      throw error
    }
  }

  private func copy(into sink: OrderedOutput, jobs: Int, _ progress: ProgressHandler?) throws -> [WrittenFile] {
    let pieces = model.tensors.indices.flatMap { tensor in
      let bytes = model.tensors[tensor].byteCount
      return stride(from: 0, to: bytes, by: Repacking.pieceBytes).map {
        Piece(tensor: tensor, range: $0..<min(bytes, $0 + Repacking.pieceBytes))
      }
    }
    let fileBytes = fileBytes
    progress?(Progress("copying", unit: .bytes, done: 0, total: fileBytes))
    try OrderedPipeline(jobs: jobs, window: 2 * jobs).run(
      count: pieces.count, makeScratch: {},
      produce: { index, _ in
        let piece = pieces[index]
        let source = model.places[piece.tensor]
        return try model.files[source.file].file.read(
          at: source.offset + piece.range.lowerBound, count: piece.range.count)
      },
      deliver: { index, bytes in
        let place = places[pieces[index].tensor]
        try sink.append(bytes, file: place.file, at: place.offset + pieces[index].range.lowerBound)
        progress?(Progress("copying", unit: .bytes, done: sink.position, total: fileBytes))
      })
    progress?(Progress("copying", unit: .bytes, done: fileBytes, total: fileBytes))
    return try sink.finish()
  }
}

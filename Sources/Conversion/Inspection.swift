public import Bytes

public import Checkpoints
import GGUF
import Models
import Tensors

/// What `quern inspect` shows of a path: header facts only, no weight is read.
public struct Inspection: Sendable {
  public struct TensorRow: Sendable {
    public var name: String
    public var type: String
    /// Row-major, or in GGUF's order for a GGUF; see `shapeOrder`.
    public var shape: [Int]
    public var bytes: Int
    /// In its file, where that means anything.
    public var offset: Int?
    public var shapeText: String { "[\(shape.map(String.init).joined(separator: ", "))]" }
  }

  public var format: String
  public var architecture: String?
  public var parameters: Int
  public var fileBytes: Int
  /// Key and value; long values are shortened in the text and whole in JSON, vocabularies excepted.
  public var metadata: [(String, String)]
  public var tensors: [TensorRow]
  public var shapeOrder: String
  /// What is unusual.
  public var notes: [String]
  private var metadataJSON: [(String, JSONText)]

  /// - Throws: what the readers throw for a file that breaks the law of its format.
  public init(of path: String, layout: Checkpoint.Layout = .automatic) throws {
    if try SystemCalls.status(at: path)?.isRegular == true, try FileKind(RandomAccessFile(path)) == .gguf {
      self.init(try GGUFModel(opening: path))
    } else {
      try self.init(try Checkpoint(opening: path, layout: layout))
    }
  }

  private init(_ gguf: GGUFModel) {
    format = gguf.files.count == 1 ? "GGUF v\(gguf.files[0].version)" : "GGUF, \(gguf.files.count) files"
    architecture = gguf.metadata["general.architecture"]?.string
    parameters = gguf.tensors.reduce(0) { $0 + $1.shape.elementCount }
    fileBytes = gguf.files.reduce(0) { $0 + $1.file.size }
    metadata = gguf.metadata.entries.map { ($0.key, Inspection.text($0.value)) }
    metadataJSON = gguf.metadata.entries.map { ($0.key, Inspection.json($0.value)) }
    tensors = zip(gguf.tensors, gguf.places).map { tensor, place in
      TensorRow(
        name: tensor.name, type: tensor.dtype.name, shape: tensor.shape.ggmlOrder, bytes: tensor.byteCount,
        offset: place.offset)
    }
    shapeOrder = "gguf"
    notes = []
    do { try gguf.checkModel() } catch { notes.append("\(error)") }
  }

  private init(_ checkpoint: Checkpoint) throws {
    format = checkpoint.format.rawValue
    let config = checkpoint.config?.root ?? checkpoint.parameters?.root
    let isMeta = checkpoint.parameters != nil
    architecture =
      isMeta ? "llama" : try config?.optional("architectures")?.elements().first { _ in true }?.string()
    parameters = checkpoint.tensors.reduce(0) { $0 + $1.shape.elementCount }
    fileBytes = checkpoint.inputFiles.reduce(0) { $0 + $1.size }
    metadata = []
    metadataJSON = []
    if let config, config.kind == .object {
      for (key, value) in try config.members() {
        metadata.append((try key.string(), try Inspection.text(value)))
        metadataJSON.append((try key.string(), try Inspection.json(value)))
      }
    }
    tensors = checkpoint.tensors.map { tensor in
      TensorRow(
        name: tensor.name, type: tensor.dtype.name, shape: tensor.shape.dimensions, bytes: tensor.byteCount, offset: nil
      )
    }
    shapeOrder = "row-major"
    notes = checkpoint.notes
    if isMeta, checkpoint.inputFiles.count > 1 { notes.append("gathered from \(checkpoint.inputFiles.count) shards") }
    if let config {
      do {
        if isMeta {
          let meta = try MetaParameters(params: config, tensors: checkpoint.tensors)
          notes += meta.notes
          _ = try ModelSource(meta: meta, tensors: checkpoint.tensors)
        } else {
          _ = try ModelSource(config: config, tensors: checkpoint.tensors)
        }
      } catch { notes.append("\(error)") }
    } else {
      notes.append("there is no config.json beside the weights, so they cannot be converted")
    }
  }

  public var bitsPerWeight: Double {
    Double(tensors.reduce(0) { $0 + $1.bytes }) * 8 / Double(max(1, parameters))
  }

  /// Tensors and bytes of each type, the largest first.
  public var types: [(String, Int, Int)] {
    Dictionary(grouping: tensors, by: \.type)
      .map { ($0.key, $0.value.count, $0.value.reduce(0) { $0 + $1.bytes }) }
      .sorted { ($0.2, $1.0) > ($1.2, $0.0) }
  }

  public var summary: String {
    """
    \(format)\(architecture.map { ", \(printable($0))" } ?? ""): \(tensors.count) tensors, \
    \(decimals(Double(parameters) / 1e6, 1)) M parameters, \(megabytes(fileBytes)), \
    \(decimals(bitsPerWeight, 2)) bits a weight
    """
  }

  public func json(withTensors: Bool) -> JSONText {
    .object([
      ("format", .string(format)), ("architecture", architecture.map { .string($0) } ?? .null),
      ("parameters", .int(parameters)), ("file_bytes", .int(fileBytes)), ("bits_per_weight", .double(bitsPerWeight)),
      ("metadata", .object(metadataJSON)), ("shape_order", .string(shapeOrder)),
      (
        "tensors",
        .array(
          tensors.map { row in
            .object([
              ("name", .string(row.name)), ("type", .string(row.type)), ("shape", .array(row.shape.map { .int($0) })),
              ("bytes", .int(row.bytes)), ("offset", row.offset.map { .int($0) } ?? .null),
            ])
          })
      ),
      ("notes", .array(notes.map { .string($0) })),
    ])
  }
}

/// A size for people, in decimal units as download pages give them.
public func megabytes(_ bytes: Int) -> String {
  bytes >= 10_000_000_000
    ? "\(decimals(Double(bytes) / 1e9, 1)) GB"
    : bytes >= 1_000_000 ? "\(decimals(Double(bytes) / 1e6, 1)) MB" : "\(decimals(Double(bytes) / 1e3, 1)) kB"
}

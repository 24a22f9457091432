import Bytes
import Tensors

/// The shards of a checkpoint in Meta's own form, seen as one: every tensor is whole, its rows gathered from the shards as
/// they are read. `params.json` is kept as it is; what it says is for whoever knows the architecture.
struct MetaShards {
  let files: [RandomAccessFile]
  /// In the order of the first shard, under Meta's names, without what is computed.
  let tensors: [Tensor]
  let parameters: JSONDocument
  let notes: [String]

  private struct Shard {
    let file: RandomAccessFile
    let tensors: [ExactString: Tensor]
  }

  /// Whether a folder holds shards, all of them or not.
  static func areIn(_ folder: ModelFolder) throws -> Bool {
    try folder.names().contains { MetaNames.number(of: $0) != nil }
  }

  /// The folder itself if it holds shards, or the folder `original` in it.
  static func folder(in folder: ModelFolder) throws -> ModelFolder? {
    if try areIn(folder) { return folder }
    guard let original = try folder.subfolder(MetaNames.folder), try areIn(original) else { return nil }
    return original
  }

  /// - Throws: `MISSING` for `params.json`, a shard or a tensor in one; `SHAPE` and `TYPE` when shards differ in what must
  ///   be alike; `NAME`, `UNSUPPORTED`; and what the reader of each shard throws.
  init(in folder: ModelFolder) throws {
    let names = try folder.names()
    guard let parameters = try folder.json(MetaNames.parameters, limit: 1 << 20) else {
      throw InputError(
        .missing, "\(MetaNames.parameters) is missing beside Meta's shards", file: folder.path,
        remedy: "download the whole folder")
    }
    guard !names.contains(where: { $0.hasPrefix("fp8_scales_") }) else {
      throw InputError(
        .unsupported, "holds weights in FP8 with their scales apart", file: folder.path,
        remedy: "use the model in BF16")
    }
    var order: [Tensor] = []
    var shards: [Shard] = []
    var notes: [String] = []
    for name in try MetaNames.shards(among: names, folder: folder.path) {
      let file = try folder.open(name)
      let torch = try TorchFile(file, kind: FileKind(file))
      if shards.isEmpty { order = torch.tensors }
      let places = torch.tensors.map { (ExactString($0.name), $0) }
      // Names are unique in a state dict, but not once a prefix is gone.
      shards.append(Shard(file: file, tensors: Dictionary(places, uniquingKeysWith: { first, _ in first })))
      if !torch.otherKeys.isEmpty { notes.append("\(torch.otherKeys.count) entries of \(name) are no tensors") }
    }
    try MetaShards.checkCount(shards, folder: folder.path)
    for shard in shards.dropFirst() {
      for name in shard.tensors.keys.sorted() where shards[0].tensors[name] == nil {
        throw InputError(
          .missing, "the tensor is in \(shard.file.path) only", file: shards[0].file.path, subject: name.string,
          remedy: "use the shards of one model")
      }
    }
    let keyValueRows = MetaShards.keyValueRows(parameters.root)
    tensors = try order.compactMap { try MetaShards.whole($0, shards, keyValueRows) }
    files = shards.map(\.file)
    self.parameters = parameters
    self.notes = notes
  }

  /// Rows of K and V that `params.json` speaks of; `nil` where it says nothing usable, which is for others to complain of.
  private static func keyValueRows(_ root: JSONValue) -> Int? {
    let params = root.optional("model") ?? root
    func size(_ key: String) -> Int? { try? params.optional(key)?.int(in: 1...1 << 24) }
    guard let width = size("dim"), let heads = size("n_heads"), heads <= width else { return nil }
    return (size("n_kv_heads") ?? heads) * (width / heads)
  }

  /// Tells a missing last shard by the shapes: all query rows together are as many as a norm is long.
  private static func checkCount(_ shards: [Shard], folder: String) throws(InputError) {
    guard let first = shards.first?.tensors, let width = first[ExactString("norm.weight")]?.shape.elementCount,
      let query = first[ExactString("layers.0.attention.wq.weight")], query.columns == width, query.rows > 0,
      width % query.rows == 0, width / query.rows != shards.count
    else { return }
    let count = width / query.rows
    if count > shards.count {
      throw MetaNames.missing(
        shards.count, "there are \(shards.count), and their shapes are those of \(count)", folder: folder)
    }
    throw InputError(
      .shape, "\(shards.count) shards are there, but their shapes are those of \(count)", file: folder,
      remedy: "keep the shards of one model in the folder")
  }

  /// The tensor that the parts make; `nil` for what is no weight.
  private static func whole(
    _ tensor: Tensor, _ shards: [Shard], _ keyValueRows: Int?
  ) throws(InputError) -> Tensor? {
    let name = tensor.name
    let join: MetaJoin
    do { join = try MetaJoin(of: name) } catch { throw error.adding(file: shards[0].file.path) }
    var parts: [Tensor] = []
    for shard in shards {
      guard let part = shard.tensors[ExactString(name)] else {
        throw InputError(
          .missing, "the tensor is missing in this shard", file: shard.file.path, subject: name,
          remedy: "download the shard again")
      }
      guard part.dtype == tensor.dtype else {
        throw InputError(
          .type, "\(part.dtype), but \(tensor.dtype) in \(shards[0].file.path)", file: shard.file.path, subject: name,
          remedy: "use the shards of one model")
      }
      guard part.shape == tensor.shape else {
        throw InputError(
          .shape, "\(part.shape), but \(tensor.shape) in \(shards[0].file.path)", file: shard.file.path, subject: name,
          remedy: "use the shards of one model")
      }
      parts.append(part)
    }
    if join == .computed { return nil }
    let rank = join == .replicated ? 1 : 2
    guard tensor.shape.rank == rank, tensor.shape.elementCount > 0 else {
      throw InputError(
        .shape, "shape \(tensor.shape), \(rank == 1 ? "a vector" : "a matrix") expected", file: shards[0].file.path,
        subject: name, remedy: "download the shard again")
    }
    do {
      return parts.count == 1 ? tensor : try joined(parts, by: join, shards, keyValueRows)
    } catch { throw error.adding(file: shards[0].file.path, subject: name) }
  }

  private static func joined(
    _ parts: [Tensor], by join: MetaJoin, _ shards: [Shard], _ keyValueRows: Int?
  ) throws(InputError) -> Tensor {
    let part = parts[0]
    let files = shards.map(\.file.path)
    switch join {
    case .rows: return try stacked(parts)
    case .keyValueRows:
      guard let keyValueRows, try SizeArithmetic.product(part.rows, parts.count) > keyValueRows,
        part.rows <= keyValueRows, keyValueRows % part.rows == 0, parts.count % (keyValueRows / part.rows) == 0
      else { return try stacked(parts) }
      // Neighbours have the same head, since they have the query heads that belong to it.
      let copies = parts.count / (keyValueRows / part.rows)
      return try stacked(
        stride(from: 0, to: parts.count, by: copies).map { (first) throws(InputError) in
          try replicated(Array(parts[first..<first + copies]), Array(files[first..<first + copies]))
        })
    case .columns: return try sideBySide(parts)
    case .rowsOrColumns:
      // The whole is as wide as the model, and a norm is too.
      let width = shards[0].tensors[ExactString("norm.weight")]?.shape.elementCount ?? part.columns
      return part.columns == width ? try stacked(parts) : try sideBySide(parts)
    case .replicated, .computed: return try replicated(parts, files)
    }
  }

  private static func replicated(_ parts: [Tensor], _ files: [String]) throws(InputError) -> Tensor {
    let source = ReplicatedRows(name: parts[0].name, parts: parts, files: files)
    return try Tensor(name: parts[0].name, dtype: parts[0].dtype, shape: parts[0].shape, source: source)
  }

  private static func stacked(_ parts: [Tensor]) throws(InputError) -> Tensor {
    let shape = try Shape([SizeArithmetic.product(parts[0].rows, parts.count), parts[0].columns])
    return try Tensor(name: parts[0].name, dtype: parts[0].dtype, shape: shape, source: StackedRows(parts))
  }

  private static func sideBySide(_ parts: [Tensor]) throws(InputError) -> Tensor {
    let shape = try Shape([parts[0].rows, SizeArithmetic.product(parts[0].columns, parts.count)])
    return try Tensor(name: parts[0].name, dtype: parts[0].dtype, shape: shape, source: JoinedColumns(parts: parts))
  }
}

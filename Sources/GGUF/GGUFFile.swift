public import Bytes
public import Tensors

/// One GGUF file, open for reading: its header is proved whole, its tensors are read when asked for.
///
/// ```swift
/// let file = try GGUFFile(reading: "model.gguf")
/// let row = try file.tensor("token_embd.weight")?.read(rows: 0..<1)
/// ```
///
/// After `init` returned, every key and name is unique and well formed, every size was computed without overflow, and
/// every tensor lies in the file, aligned, touching no other, with nothing but padding between them or behind the last.
/// What a model needs beyond that is checked by `checkModel`. A file may be one of a split set: see `GGUFModel`.
public struct GGUFFile: Sendable {
  public let file: RandomAccessFile
  /// 2 or 3.
  public let version: UInt32
  public let metadata: Metadata
  /// In the order of the file, shapes row-major.
  public let tensors: [Tensor]
  /// Where each of `tensors` begins, in bytes from the start of the file.
  public let offsets: [Int]
  /// A power of two; every offset is a multiple of it from `dataOffset` on.
  public let alignment: Int
  /// Where the first tensor may begin, in bytes from the start of the file.
  public let dataOffset: Int
  private let index: [ExactString: Int]

  public var path: String { file.path }

  /// - Throws: `InputError` with the law that the file breaks; `SystemError` when it cannot be read.
  public init(reading path: String) throws { try self.init(reading: RandomAccessFile(path)) }

  /// - Throws: as `init(reading: String)`.
  public init(reading file: RandomAccessFile) throws {
    self.file = file
    do {
      var cursor = HeaderCursor(file)
      let start = try GGUFFile.start(&cursor)
      version = start.version
      metadata = try GGUFFile.metadata(&cursor, count: start.keys)
      alignment = try GGUFRules.alignment(metadata)
      let entries = try GGUFFile.tensorEntries(&cursor, count: start.tensors)
      dataOffset = try SizeArithmetic.aligned(cursor.offset, to: alignment)
      offsets = try GGUFFile.place(
        entries, dataOffset: dataOffset, fileSize: file.size, alignment: alignment)
      tensors = try zip(entries, offsets).map { entry, offset in
        try Tensor(
          name: entry.name, dtype: entry.dtype, shape: entry.shape, source: FileRows(file: file, offset: offset))
      }
      index = Dictionary(uniqueKeysWithValues: tensors.indices.map { (ExactString(entries[$0].name), $0) })
    } catch let error as InputError {
      throw error.adding(file: file.path)
    }
  }

  /// The tensor of that name, compared byte by byte.
  public func tensor(_ name: String) -> Tensor? { index[ExactString(name)].map { tensors[$0] } }

  /// Whether `bytes`, the first of a file, are those of a GGUF file.
  public static func isGGUF(_ bytes: some Sequence<UInt8>) -> Bool { bytes.starts(with: GGUFFormat.magic) }
}

extension GGUFFile {
  /// Magic, version and counts.
  private static func start(
    _ cursor: inout HeaderCursor
  ) throws -> (version: UInt32, tensors: UInt64, keys: UInt64) {
    let magic = try cursor.bytes(GGUFFormat.magic.count, "the magic")
    guard magic == GGUFFormat.magic else { throw notGGUF(magic, cursor.file) }
    let version = try cursor.uint32("the version")
    guard version >= GGUFFormat.oldestVersion, version <= GGUFFormat.version else {
      throw refusedVersion(version).adding(offset: 4)
    }
    let tensors = try cursor.uint64("the tensor count")
    let keys = try cursor.uint64("the key count")
    // A key takes 13 bytes at least, a tensor 24: no count may promise more than the file can hold.
    let remaining = UInt64(cursor.remaining)
    guard keys <= GGUFFormat.maximumKeys, keys <= remaining / 13 else {
      throw InputError(
        .limit, "\(keys) keys are announced, where \(min(GGUFFormat.maximumKeys, remaining / 13)) can be", offset: 16)
    }
    guard tensors <= GGUFFormat.maximumTensors, tensors <= (remaining - keys * 13) / 24 else {
      throw InputError(
        .limit,
        "\(tensors) tensors are announced, where \(min(GGUFFormat.maximumTensors, (remaining - keys * 13) / 24)) can be",
        offset: 8)
    }
    return (version, tensors, keys)
  }

  private static func notGGUF(_ magic: [UInt8], _ file: RandomAccessFile) -> InputError {
    let remedy: String? =
      switch magic {
      case Array("vers".utf8): "this looks like a Git LFS pointer; fetch the file itself with git lfs pull"
      case Array("<!DO".utf8), Array("<htm".utf8): "this looks like a web page; download the file again"
      case [0x50, 0x4B, 0x03, 0x04]: "this looks like a zip archive, such as PyTorch writes"
      case Array("lmgg".utf8), Array("fmgg".utf8), Array("tjgg".utf8):
        "this is a GGML file from before GGUF; convert the original model again"
      default: nil
      }
    let shown = magic.map { (0x20...0x7E).contains($0) ? String(UnicodeScalar($0)) : "." }.joined()
    return InputError(
      .magic, "expected \"GGUF\", found \"\(shown)\"", file: file.path, offset: 0, remedy: remedy)
  }

  private static func refusedVersion(_ version: UInt32) -> InputError {
    if version == 1 {
      return InputError(
        .version, "GGUF version 1 is no longer read by anyone", remedy: "convert the original model again")
    }
    if version.byteSwapped >= 1, version.byteSwapped <= GGUFFormat.version {
      return InputError(
        .version, "a big-endian GGUF file, where little-endian is expected",
        remedy: "convert it with gguf-convert-endian")
    }
    return InputError(
      .version, "version \(version), where 2 or \(GGUFFormat.version) is expected",
      remedy: version > GGUFFormat.version ? "a newer release may know it" : nil)
  }
}

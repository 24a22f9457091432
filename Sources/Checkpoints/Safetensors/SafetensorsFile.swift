public import Bytes
public import Tensors

/// A safetensors file whose header has been proved whole: every tensor of it can be read.
///
/// Layout:
/// 1. N, 64 bits little-endian: bytes of the header, at most 100,000,000;
/// 2. N bytes of JSON: `{"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, "__metadata__": {…}}`;
/// 3. the tensors' bytes, little-endian and row-major. The ranges cover this part without gap or overlap, up to the last
///    byte of the file, so that nothing can hide in it.
///
/// Source: huggingface/safetensors, README "Format" and `tensor.rs`. Stricter than the reference where it reads a file in
/// two ways: equal names, equal metadata keys and `__metadata__: null` are errors.
public struct SafetensorsFile: Sendable {
  /// The limit that the reference sets, too.
  public static let maximumHeaderBytes = 100_000_000
  /// A tensor of rank 2 has twelve values and keys.
  static let maximumNodes = 1 << 22
  static let maximumNameBytes = 65_536
  /// What NumPy allows; PyTorch's limit is the same.
  static let maximumRank = 64

  public let file: RandomAccessFile
  /// `__metadata__`, in the order of the file; empty when there is none.
  public let metadata: [(key: String, value: String)]
  /// Sorted by the bytes of their names.
  public let tensors: [Tensor]

  public init(_ path: String) throws { try self.init(RandomAccessFile(path)) }

  public init(_ file: RandomAccessFile) throws {
    let kind = try FileKind(file)
    // A broken length or brace is told by the header's own errors, which say more.
    guard kind == .safetensors || kind == .unknown || kind == .json else {
      throw kind.refusal(expected: "safetensors", file: file.path)
    }
    let headerBytes = try SafetensorsFile.headerLength(of: file)
    let json = try JSONDocument(
      parsing: file.read(at: 8, count: headerBytes), file: file.path, base: 8,
      maximumNodes: SafetensorsFile.maximumNodes)
    let header = try SafetensorsHeader(json.root, dataBytes: file.size - 8 - headerBytes)
    self.file = file
    metadata = header.metadata
    tensors = try header.entries.map { entry in
      try Tensor(
        name: entry.name.string, dtype: entry.dtype, shape: entry.shape,
        source: FileRows(file: file, offset: 8 + headerBytes + entry.begin))
    }
  }

  private static func headerLength(of file: RandomAccessFile) throws -> Int {
    func refuse(_ code: InputError.Code, _ problem: String) -> InputError {
      InputError(code, problem, file: file.path, offset: 0, remedy: "download the file again")
    }
    guard file.size >= 8 else {
      throw refuse(.truncated, "a safetensors file begins with 8 bytes of header length, this one has \(file.size)")
    }
    var cursor = ByteCursor(try file.read(at: 0, count: 8), file: file.path)
    let length = try cursor.uint64("header length")
    guard length <= UInt64(maximumHeaderBytes) else {
      throw refuse(.limit, "header length at most \(maximumHeaderBytes) expected, found \(length)")
    }
    guard length <= UInt64(file.size - 8) else {
      throw refuse(.truncated, "a header of \(length) bytes is announced, the file has \(file.size - 8) more")
    }
    return Int(length)
  }
}

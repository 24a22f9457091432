public import Bytes
public import Tensors

/// The whole layout of a GGUF file, known before its first byte is written.
///
/// ```swift
/// let layout = try GGUFLayout(metadata: metadata, tensors: [("output_norm.weight", .f32, shape)])
/// let writer = try GGUFWriter(layout, to: OutputFile("model.gguf"))
/// ```
///
/// The bytes are those that gguf-py and ggml write for the same keys and tensors in the same order: version 3, every
/// tensor followed by zeros up to the alignment, the last one too.
public struct GGUFLayout: Sendable {
  /// A tensor and its place.
  public struct Entry: Hashable, Sendable {
    public let name: String
    public let dtype: DType
    /// Row-major.
    public let shape: Shape
    /// From the start of the file.
    public let offset: Int
    public let byteCount: Int
    /// Bytes of one row.
    public var rowBytes: Int { shape.rows == 0 ? 0 : byteCount / shape.rows }
  }

  /// With `general.alignment` if it is not 32.
  public let metadata: Metadata
  public let entries: [Entry]
  public let alignment: Int
  /// All bytes before the first tensor, padding included.
  public let header: [UInt8]
  public let fileSize: Int

  public var dataOffset: Int { header.count }

  /// - Parameters:
  ///   - tensors: in the order in which they will lie, shapes row-major.
  ///   - alignment: a power of two from 8 to 1 MiB; by default what `metadata` says, else 32.
  /// - Throws: whatever the reader would throw for such a file: `NAME`, `DUP`, `SHAPE`, `TYPE` (a type that GGUF has no
  ///   number for), `ALIGN`, `LIMIT`, `OVERFLOW`.
  public init(
    metadata: Metadata, tensors: [(name: String, dtype: DType, shape: Shape)], alignment: Int? = nil
  ) throws(InputError) {
    var metadata = metadata
    if let alignment, try alignment != GGUFRules.alignment(metadata) {
      guard metadata[GGUFFormat.alignmentKey] == nil, let value = UInt32(exactly: alignment) else {
        throw InputError(
          .alignment, "\(alignment) is asked for, which the metadata contradicts", subject: GGUFFormat.alignmentKey)
      }
      metadata[GGUFFormat.alignmentKey] = .uint32(value)
    }
    self.metadata = metadata
    self.alignment = try GGUFRules.alignment(metadata)
    for key in metadata.keys { try GGUFRules.check(key: key) }
    guard metadata.keys.count <= GGUFFormat.maximumKeys, tensors.count <= GGUFFormat.maximumTensors else {
      throw InputError(.limit, "\(metadata.keys.count) keys and \(tensors.count) tensors are too many")
    }

    var encoder = HeaderEncoder()
    encoder.start(tensors: tensors.count, keys: metadata.keys.count)
    for (key, value) in metadata.entries { encoder.pair(key, value) }
    var names: Set<ExactString> = []
    var sizes: [Int] = []
    var relative = 0
    for (name, dtype, shape) in tensors {
      do throws(InputError) {
        try GGUFRules.check(name: name)
        guard names.insert(ExactString(name)).inserted else {
          throw InputError(.duplicate, "the tensor appears twice")
        }
        guard let type = dtype.ggmlID else { throw InputError(.type, "GGUF has no number for the type \(dtype)") }
        let size = try GGUFRules.byteCount(dtype, shape)
        encoder.tensor(name, shape, type, offset: relative)
        relative = try SizeArithmetic.sum(relative, SizeArithmetic.aligned(size, to: self.alignment))
        sizes.append(size)
      } catch { throw error.adding(subject: name) }
    }
    guard encoder.bytes.count <= GGUFFormat.maximumHeaderBytes else {
      throw InputError(
        .limit, "a header of \(encoder.bytes.count) bytes, where at most \(GGUFFormat.maximumHeaderBytes) are read")
    }
    encoder.pad(to: self.alignment)
    header = encoder.bytes
    fileSize = try SizeArithmetic.sum(header.count, relative)

    var entries: [Entry] = []
    var offset = header.count
    for ((name, dtype, shape), size) in zip(tensors, sizes) {
      entries.append(Entry(name: name, dtype: dtype, shape: shape, offset: offset, byteCount: size))
      offset += try SizeArithmetic.aligned(size, to: self.alignment)
    }
    self.entries = entries
  }
}

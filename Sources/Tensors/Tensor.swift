public import Bytes

/// A named tensor whose bytes are read when asked for, a range of rows at a time.
///
/// Opening a checkpoint proves where every tensor lies; after that, reading an in-range row cannot be malformed.
public struct Tensor: Sendable {
  public var name: String
  public let dtype: DType
  public let shape: Shape
  private let source: any TensorSource
  /// Bytes of one row.
  public let rowBytes: Int

  /// - Throws: `SHAPE` when rows are not whole blocks of `dtype`, `OVERFLOW`.
  public init(name: String, dtype: DType, shape: Shape, source: any TensorSource) throws(InputError) {
    self.name = name
    self.dtype = dtype
    self.shape = shape
    self.source = source
    do {
      rowBytes = try dtype.byteCount(of: shape.columns)
      _ = try SizeArithmetic.product(rowBytes, shape.rows)
    } catch { throw error.adding(subject: name) }
  }

  public var rows: Int { shape.rows }
  public var columns: Int { shape.columns }
  /// Bytes of all rows.
  public var byteCount: Int { rowBytes * rows }

  /// Fills `bytes` with `rows` as stored: `rows.count * rowBytes` bytes of `dtype`.
  public func read(rows: Range<Int>, into bytes: UnsafeMutableRawBufferPointer) throws {
    precondition(rows.lowerBound >= 0 && rows.upperBound <= self.rows, "rows out of range")
    precondition(bytes.count == rows.count * rowBytes, "buffer of the wrong size")
    if !rows.isEmpty { try unsafe source.read(rows: rows, rowBytes: rowBytes, into: bytes) }
  }

  /// The bytes of `rows` as stored.
  public func read(rows: Range<Int>) throws -> [UInt8] {
    let count = rows.count * rowBytes
    return try unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      try unsafe read(
        rows: rows, into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count]))
      initialized = count
    }
  }

  /// Says that the tensor will be read soon, which may make that faster and changes nothing else.
  public func readAhead() { if rows > 0 { source.readAhead(rows: 0..<rows, rowBytes: rowBytes) } }

  /// The same tensor, its rows seen through `view`.
  public func viewed(
    name: String? = nil, shape: Shape? = nil, through view: (any TensorSource) -> any TensorSource
  ) throws(InputError) -> Tensor {
    try Tensor(name: name ?? self.name, dtype: dtype, shape: shape ?? self.shape, source: view(source))
  }

  public func renamed(_ name: String) -> Tensor {
    var tensor = self
    tensor.name = name
    return tensor
  }
}

/// Where a tensor's rows come from: a range of a file, or other sources put together.
public protocol TensorSource: Sendable {
  /// Fills `bytes` (`rows.count * rowBytes`) with the rows `rows`, which are in range and not empty.
  func read(rows: Range<Int>, rowBytes: Int, into bytes: UnsafeMutableRawBufferPointer) throws

  /// Says that these rows will be read soon.
  func readAhead(rows: Range<Int>, rowBytes: Int)
}

extension TensorSource {
  /// Does nothing.
  public func readAhead(rows: Range<Int>, rowBytes: Int) {}
}

/// Rows one after another in a file.
public struct FileRows: TensorSource {
  public let file: RandomAccessFile
  /// Where row 0 begins.
  public let offset: Int

  public init(file: RandomAccessFile, offset: Int) {
    self.file = file
    self.offset = offset
  }

  public func read(rows: Range<Int>, rowBytes: Int, into bytes: UnsafeMutableRawBufferPointer) throws {
    try unsafe file.read(at: offset + rows.lowerBound * rowBytes, into: bytes)
  }

  public func readAhead(rows: Range<Int>, rowBytes: Int) {
    file.readAhead(at: offset + rows.lowerBound * rowBytes, count: rows.count * rowBytes)
  }
}

/// Rows held in memory; for computed tensors (`rope_freqs`) and tests.
public struct MemoryRows: TensorSource {
  private let bytes: [UInt8]

  public init(_ bytes: [UInt8]) { self.bytes = bytes }

  public init(_ values: [Float]) {
    bytes = values.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> (8 * $0)) } }
  }

  public func read(rows: Range<Int>, rowBytes: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
    let range = rows.lowerBound * rowBytes..<rows.upperBound * rowBytes
    unsafe bytes.withUnsafeBytes { unsafe buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range])) }
  }
}

public import Bytes

/// Puts a layout and its tensors' rows into a file, in any order and from many threads at once.
///
/// The file gets its full size first, so padding needs no writing: it is the zeros of the hole.
public struct GGUFWriter: Sendable {
  public let layout: GGUFLayout
  public let file: OutputFile

  /// Sizes the file and writes the header.
  public init(_ layout: GGUFLayout, to file: OutputFile) throws {
    self.layout = layout
    self.file = file
    try file.reserve(layout.fileSize)
    try unsafe layout.header.withUnsafeBytes { try unsafe file.write($0, at: 0) }
  }

  /// Writes whole rows of the tensor number `tensor`, from `row` on.
  public func write(_ bytes: RawSpan, tensor: Int, row: Int = 0) throws {
    let offset = offset(of: bytes.byteCount, tensor: tensor, row: row)
    try file.write(bytes, at: offset)
  }

  /// Writes whole rows of the tensor number `tensor`, from `row` on.
  public func write(_ bytes: UnsafeRawBufferPointer, tensor: Int, row: Int = 0) throws {
    let offset = offset(of: bytes.count, tensor: tensor, row: row)
    try unsafe file.write(bytes, at: offset)
  }

  /// Writing outside of a tensor would damage another, which no reader could notice; so it traps.
  private func offset(of count: Int, tensor: Int, row: Int) -> Int {
    let entry = layout.entries[tensor]
    guard count > 0 else { return entry.offset }
    precondition(count % entry.rowBytes == 0, "not whole rows of \(entry.name)")
    precondition(
      row >= 0 && row <= entry.shape.rows - count / entry.rowBytes, "rows outside of \(entry.name)")
    return entry.offset + row * entry.rowBytes
  }
}

/// Ranges of files that may be longer than memory has room for, piece by piece.
enum FilePieces {
  private static let pieceBytes = 1 << 20

  /// Shows `visit` the pieces of `range` in turn.
  /// - Parameter fill: reads the bytes from an offset on; all of them, or it throws.
  /// - Throws: `Interrupted`; what the two throw.
  static func read(
    _ range: Range<Int>, filling fill: (UnsafeMutableRawBufferPointer, _ offset: Int) throws -> Void,
    _ visit: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    var buffer = [UInt8](repeating: 0, count: min(pieceBytes, range.count))
    for offset in stride(from: range.lowerBound, to: range.upperBound, by: pieceBytes) {
      try Interruption.check()
      let count = min(pieceBytes, range.upperBound - offset)
      try unsafe buffer.withUnsafeMutableBytes { buffer in
        let piece = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
        try unsafe fill(piece, offset)
        try unsafe visit(UnsafeRawBufferPointer(piece))
      }
    }
  }
}

extension RandomAccessFile {
  /// Shows `visit` a range piece by piece.
  /// - Throws: `InputError` `TRUNC` when the file ends before; `Interrupted`; what `visit` throws.
  package func read(_ range: Range<Int>, _ visit: (UnsafeRawBufferPointer) throws -> Void) throws {
    try unsafe FilePieces.read(range, filling: { try unsafe read(at: $1, into: $0) }, visit)
  }
}

extension OutputFile {
  /// Shows `visit` a range of what is in the file, piece by piece.
  /// - Throws: `SystemError` when the file ends before; `Interrupted`; what `visit` throws.
  package func read(_ range: Range<Int>, _ visit: (UnsafeRawBufferPointer) throws -> Void) throws {
    try unsafe FilePieces.read(
      range,
      filling: { piece, offset in
        guard try unsafe read(at: offset, into: piece) == piece.count else {
          throw SystemError("read again", path: path, errno: SystemError.inputOutput)
        }
      }, visit)
  }
}

import Bytes

/// A text to measure or calibrate on.
public struct TextFile: Sendable {
  public let path: String
  public let bytes: [UInt8]

  /// - Throws: `UTF8` when the file is not text; `LIMIT` beyond 4 GiB.
  public init(reading path: String) throws {
    self.path = path
    bytes = try RandomAccessFile(path).readAll(limit: 4 << 30)
    do {
      _ = try UTF8Span(validating: bytes.span)
    } catch {
      throw InputError(
        .utf8, "not valid UTF-8", file: path, offset: UInt64(error.byteOffsets.lowerBound),
        remedy: "give a plain text file in UTF-8")
    }
  }
}

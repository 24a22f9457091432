import Bytes
import Tensors

/// Reads a `LogitsFile`: the tokens at once, the rows when they are asked for.
public struct LogitsFileReader: Sendable {
  public let header: LogitsFile.Header
  /// Of all chunks.
  public let tokens: [Int32]
  private let file: RandomAccessFile

  public var path: String { file.path }

  /// - Throws: `MAGIC`, `LIMIT`, `TRUNC` or `BOUNDS` when it is no such file, or not a whole one.
  public init(opening path: String) throws {
    file = try RandomAccessFile(path)
    guard file.size >= LogitsFile.magic.count,
      try file.read(at: 0, count: LogitsFile.magic.count) == LogitsFile.magic
    else {
      throw InputError(
        .magic, "not a file of logits", file: path, offset: 0,
        remedy: "give what --save-logits or llama-perplexity --kl-divergence-base wrote")
    }
    var cursor = ByteCursor(
      try file.read(at: LogitsFile.magic.count, count: LogitsFile.headerSize - LogitsFile.magic.count), file: path,
      base: LogitsFile.magic.count)
    do throws(InputError) {
      header = try LogitsFile.Header(
        context: Int(cursor.uint32("tokens in a chunk")), vocabularySize: Int(cursor.uint32("vocabulary")),
        chunks: Int(cursor.uint32("chunks")))
    } catch {
      throw error.adding(file: path)
    }
    guard file.size == header.fileSize else {
      let isShort = file.size < header.fileSize
      throw InputError(
        isShort ? .truncated : .bounds,
        "\(header.chunks) chunks of \(header.context) tokens take \(header.fileSize) bytes, the file has \(file.size)",
        file: path, remedy: isShort ? "the program that wrote it was stopped; write it again" : nil)
    }
    var places = ByteCursor(
      try file.read(at: LogitsFile.headerSize, count: 4 * header.tokenCount), file: path, base: LogitsFile.headerSize)
    var tokens: [Int32] = []
    tokens.reserveCapacity(header.tokenCount)
    for _ in 0..<header.tokenCount {
      let offset = places.fileOffset
      let token = try places.uint32("token")
      guard token < UInt32(header.vocabularySize) else {
        throw InputError(
          .bounds, "token \(token) is not in the vocabulary of \(header.vocabularySize)", file: path, offset: offset)
      }
      tokens.append(Int32(token))
    }
    self.tokens = tokens
  }

  /// The text that the predictions are of.
  /// - Parameters:
  ///   - bos: stands in place of the first token of each chunk.
  ///   - limit: at most so many chunks.
  public func text(bos: Int32?, limit: Int? = nil) -> TextChunks {
    TextChunks(chunks: tokens, context: header.context, bos: bos, limit: limit)
  }

  /// A prediction as it is stored: `ln p = scale · codes + minimum`.
  public struct Row: Sendable {
    public let scale: Float
    public let minimum: Float
    let codes: [UInt16]

    /// `ln p` of token `index`.
    public func logProbability(_ index: Int) -> Float { scale * Float(codes[index]) + minimum }
  }

  /// What was predicted at `position` of `chunk`.
  /// - Throws: `BOUNDS` when it is no logarithm of probabilities.
  public func row(_ position: Int, of chunk: Int) throws -> Row {
    let index = position - header.context / 2
    precondition((0..<header.rowsInChunk).contains(index) && (0..<header.chunks).contains(chunk), "no such row")
    let offset = header.rowsOffset + (chunk * header.rowsInChunk + index) * header.rowSize
    var head = ByteCursor(try file.read(at: offset, count: 8), file: path, base: offset)
    let scale = Float(bitPattern: try head.uint32("scale"))
    let minimum = Float(bitPattern: try head.uint32("minimum"))
    // No probability is above 1; a little is left to rounding.
    guard scale >= 0, minimum <= 0.01, minimum > -1e6, 65535 * scale + minimum <= 0.01 else {
      throw InputError(
        .bounds, "scale \(scale) and minimum \(minimum) make no logarithms of probabilities", file: path,
        offset: UInt64(offset), remedy: "write the file again")
    }
    let codes = try unsafe [UInt16](unsafeUninitializedCapacity: header.vocabularySize) { buffer, initialized in
      try unsafe file.read(at: offset + 8, into: UnsafeMutableRawBufferPointer(buffer))
      initialized = header.vocabularySize
    }
    return Row(scale: scale, minimum: minimum, codes: codes)
  }
}

extension LogitMath {
  /// A stored prediction and a model's logits for the same position, compared as `llama-perplexity --kl-divergence` does:
  /// stored probabilities are taken as they are, and tokens whose stored `ln p` is not above -16 do not count.
  static func drift(
    reference: LogitsFileReader.Row, quantized: MatrixView, row: Int, target: Int
  ) -> TokenDrift {
    let (y, count) = unsafe (quantized.pointer(row: row), quantized.columns)
    let sum = unsafe RowMath.exponentialSum(y, count: count)
    // What does not count is put where its probability vanishes.
    var stored = reference.codes.map { code in
      let value = Float(code) * reference.scale + reference.minimum
      return value > -16 ? value : -100
    }
    let divergence = unsafe stored.withUnsafeMutableBufferPointer { buffer in
      let x = buffer.baseAddress!
      // Stored probabilities hardly sum to 1, and what is missing counts as they stand: Σ p d, not Σ p (e^-d − 1 + d).
      let whole = ExponentialSum(maximum: 0, sum: 1)
      let excess = unsafe RowMath.sumOfExponentials(x, maximum: 0, count: count) - 1
      return unsafe RowMath.divergence(x, whole, y, sum, count: count) + excess
    }
    let first = reference.codes.max().flatMap { reference.codes.firstIndex(of: $0) } ?? -1
    return TokenDrift(
      reference: -Double(reference.logProbability(target)), quantized: unsafe sum.logarithm - Double(y[target]),
      divergence: divergence, referenceChoice: Int32(first),
      quantizedChoice: unsafe Int32(RowMath.firstIndex(of: sum.maximum, in: y, count: count)))
  }
}

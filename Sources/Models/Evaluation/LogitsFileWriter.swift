#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif
public import Bytes
public import Tensors

/// Writes a `LogitsFile` as predictions are made; nothing of it is kept in memory.
public struct LogitsFileWriter: Sendable {
  public let header: LogitsFile.Header
  private let scored: Range<Int>
  private let output: OutputFile
  private let jobs: Int

  /// Writes everything but the rows, for which it makes room.
  /// - Parameter output: stays the caller's, who publishes it when the last row is written.
  public init(_ output: OutputFile, _ text: TextChunks, vocabularySize: Int, jobs: Int) throws {
    header = try LogitsFile.Header(context: text.context, vocabularySize: vocabularySize, chunks: text.count)
    (scored, self.output, self.jobs) = (text.scored, output, jobs)
    try output.reserve(header.fileSize)
    try unsafe output.write(LogitsFile.magic.span.bytes, at: 0)
    let sizes = [header.context, header.vocabularySize, header.chunks].map { Int32($0).littleEndian }
    try unsafe output.write(sizes.span.bytes, at: LogitsFile.magic.count)
    for chunk in 0..<header.chunks {
      let tokens = text.tokens(chunk).map(\.littleEndian)
      try unsafe output.write(tokens.span.bytes, at: LogitsFile.headerSize + 4 * chunk * header.context)
    }
  }

  /// Writes the predictions made at `positions` of `chunk`, of which `logits` (at least positions.count, vocabulary) has
  /// one in each of its first rows.
  public func write(_ positions: Range<Int>, of chunk: Int, _ logits: MatrixView) throws {
    precondition(logits.columns == header.vocabularySize, "rows of another width")
    precondition(positions.lowerBound >= scored.lowerBound && positions.upperBound <= scored.upperBound, "not scored")
    let first =
      header.rowsOffset + (chunk * header.rowsInChunk + positions.lowerBound - scored.lowerBound) * header.rowSize
    try Parallel.forEach(positions.count, jobs: jobs) { row in
      let packed = LogitsFile.packed(logits, row: row, values: header.valuesInRow)
      try unsafe output.write(packed.span.bytes, at: first + row * header.rowSize)
    }
  }
}

extension LogitsFile {
  /// One row of the file: `ln softmax(logits)`, `values` numbers of 16 bits.
  static func packed(_ logits: MatrixView, row: Int, values: Int) -> [UInt16] {
    let (x, count) = unsafe (logits.pointer(row: row), logits.columns)
    let maximum = unsafe RowMath.maximum(x, count: count)
    let minimum = unsafe max(RowMath.minimum(x, count: count), maximum - depth)
    let logSum = unsafe Float(log(RowMath.sumOfExponentials(x, maximum: maximum, count: count)))
    let scale = (maximum - minimum) / 65535
    let head = [scale, minimum - maximum - logSum].flatMap { value in
      [UInt16(truncatingIfNeeded: value.bitPattern), UInt16(truncatingIfNeeded: value.bitPattern >> 16)]
    }
    return unsafe [UInt16](unsafeUninitializedCapacity: values) { buffer, initialized in
      unsafe buffer.update(repeating: 0)
      for (index, half) in head.enumerated() { unsafe buffer[index] = half.littleEndian }
      if scale > 0 {
        unsafe RowMath.pack(x, minimum: minimum, scale: 1 / scale, into: buffer.baseAddress! + 4, count: count)
      }
      initialized = values
    }
  }
}

extension RowMath {
  private typealias Lanes = SIMD8<Float>

  @inline(__always) private static func load(_ row: Row, _ index: Int) -> Lanes {
    unsafe UnsafeRawPointer(row + index).loadUnaligned(as: Lanes.self)
  }

  /// The least element; ∞ when there is none.
  static func minimum(_ x: Row, count: Int) -> Float {
    var best = Lanes(repeating: .infinity)
    for index in stride(from: 0, to: count & ~7, by: 8) {
      let lanes = unsafe load(x, index)
      best.replace(with: lanes, where: lanes .< best)
    }
    var least = best.min()
    for index in (count & ~7)..<count { unsafe least = min(least, x[index]) }
    return least
  }

  /// `codes = round((x - minimum) · scale)`, ties to even, 0 where x is not above the minimum; what is rounded is below 2¹⁶.
  static func pack(_ x: Row, minimum: Float, scale: Float, into codes: UnsafeMutablePointer<UInt16>, count: Int) {
    // Adding 1.5 · 2²³ leaves the nearest whole number in the low bits.
    let magic: Float = 12_582_912
    for index in stride(from: 0, to: count & ~7, by: 8) {
      let lanes = unsafe load(x, index)
      var scaled = (lanes - minimum) * scale
      scaled.replace(with: 0, where: lanes .<= minimum)
      let bits = unsafe unsafeBitCast(scaled + magic, to: SIMD8<UInt32>.self)
      unsafe UnsafeMutableRawPointer(codes + index).storeBytes(
        of: SIMD8<UInt16>(truncatingIfNeeded: bits), as: SIMD8<UInt16>.self)
    }
    for index in (count & ~7)..<count {
      let value = unsafe x[index]
      unsafe codes[index] =
        value > minimum ? UInt16(truncatingIfNeeded: ((value - minimum) * scale + magic).bitPattern) : 0
    }
  }
}

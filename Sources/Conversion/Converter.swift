public import Bytes
import Crypto
public import Quantization
import Synchronization
import Tensors

/// Carries out a `ConversionPlan`: rows are read, decoded, checked and quantized on all workers and written in order.
public struct Converter: Sendable {
  public let plan: ConversionPlan
  public let jobs: Int
  /// Importance of the columns of a tensor, by its name in the output.
  let importance: ImportanceMatrix?

  public init(plan: ConversionPlan, jobs: Int, importance: ImportanceMatrix? = nil) {
    self.plan = plan
    self.jobs = jobs
    self.importance = importance
  }

  /// What was written.
  public struct Result: Sendable {
    public var fileBytes: Int
    public var bytesRead: Int
    /// Of the whole file, in hexadecimal.
    public var sha256: String
  }

  /// Writes the planned file to `output` and publishes it.
  /// - Throws: `NONFINITE` naming the tensor and element when a weight is NaN or infinite; reading and writing errors. The
  ///   temporary file is removed then, and what stood under the final name still stands.
  public func run(
    into output: OutputFile, checking input: ModelInput, progress: ProgressHandler? = nil
  ) throws -> Result {
    let digest: String
    do {
      digest = try grind(into: output, progress: progress)
      try input.checkUnchanged()
    } catch {
      output.discard()
      throw error
    }
    // Publishing cleans up after itself; discarding again would close a descriptor that may be another file's by then.
    try output.publish()
    return Result(fileBytes: plan.fileBytes, bytesRead: plan.sourceBytes, sha256: digest)
  }

  private func grind(into output: OutputFile, progress: ProgressHandler?) throws -> String {
    try output.setSize(plan.fileBytes)
    let sink = Mutex(Sink(output: output))
    try sink.withLock { try $0.append(plan.header, at: 0) }
    let items = plan.items
    let pipeline = OrderedPipeline(jobs: jobs)
    try pipeline.run(
      count: items.count,
      makeScratch: { Scratch() },
      produce: { index, scratch in
        try produce(items[index], with: &scratch)
      },
      deliver: { index, bytes in
        let entry = plan.entries[items[index].entry]
        let rowBytes = bytes.count / items[index].rows.count
        try sink.withLock { try $0.append(bytes, at: entry.offset + items[index].rows.lowerBound * rowBytes) }
        progress?(Progress("quantizing", unit: .bytes, done: entry.offset, total: plan.fileBytes))
      })
    let digest = try sink.withLock { try $0.finish(at: plan.fileBytes) }
    progress?(Progress("quantizing", unit: .bytes, done: plan.fileBytes, total: plan.fileBytes))
    return digest
  }

  /// Buffers that a worker keeps from item to item.
  private struct Scratch {
    var values: [Float] = []
  }

  /// rows of W (rows, columns) as stored -> the same rows in the type of the output.
  private func produce(_ item: ConversionPlan.Item, with scratch: inout Scratch) throws -> [UInt8] {
    let entry = plan.entries[item.entry]
    let tensor = entry.source
    let stored = try tensor.read(rows: item.rows)
    if tensor.dtype == entry.type && !tensor.dtype.isFloatingPoint {
      try check(stored, of: entry)
      return stored
    }

    let count = item.rows.count * tensor.columns
    if scratch.values.count != count { scratch.values = [Float](repeating: 0, count: count) }
    do {
      var values = scratch.values.mutableSpan
      unsafe BlockDecoder.decode(stored.span.bytes, as: tensor.dtype, into: &values)
    }
    if let bad = BlockQuantizer.firstNonFinite(scratch.values.span) {
      let row = item.rows.lowerBound + bad / tensor.columns
      throw InputError(
        .nonFinite, "row \(row), column \(bad % tensor.columns) is \(scratch.values[bad])", subject: tensor.name,
        remedy: "the checkpoint is damaged or its training diverged; download it again")
    }
    if tensor.dtype == entry.type { return stored }

    var out = [UInt8](repeating: 0, count: try entry.type.byteCount(of: count))
    let weights = importance?.columns(of: tensor, row: item.rows.lowerBound)
    var span = out.mutableSpan
    var bytes = unsafe span.mutableBytes
    BlockQuantizer.quantize(
      scratch.values.span, columns: tensor.columns, as: entry.type, importance: weights?.span, into: &bytes)
    try check(out, of: entry)
    return out
  }

  /// Finite weights may still have no finite scale: one above 65,504 does not fit a half, and where the largest magnitude of a
  /// block lies between 2^-126 and 2^-125, ggml gives MXFP4 the exponent that stands for NaN.
  private func check(_ blocks: [UInt8], of entry: ConversionPlan.Entry) throws(InputError) {
    guard unsafe BlockDecoder.firstNonFiniteBlock(blocks.span.bytes, as: entry.type) != nil else { return }
    let reason =
      entry.type == .mxfp4 ? "so small that the exponent of the scale underflows" : "far too large for the type"
    throw InputError(
      .nonFinite, "a block of \(entry.type) has a scale that is no finite number", subject: entry.source.name,
      remedy: "its weights are \(reason), or the input is damaged; try --tensor-type with BF16")
  }
}

/// Receives the output in the order of the file, so that its hash is known when the last byte is written.
private struct Sink: ~Copyable {
  let output: OutputFile
  var hash = SHA256()
  var position = 0

  init(output: OutputFile) { self.output = output }

  mutating func append(_ bytes: [UInt8], at offset: Int) throws {
    pad(to: offset)
    try unsafe output.write(bytes.span.bytes, at: offset)
    unsafe bytes.withUnsafeBytes { unsafe hash.update(bufferPointer: $0) }
    position = offset + bytes.count
  }

  mutating func finish(at size: Int) throws -> String {
    pad(to: size)
    return hexadecimalText(hash.finalize())
  }

  /// The file was given its full size, so padding is already zero on disk.
  private mutating func pad(to offset: Int) {
    if offset > position { hash.update(data: [UInt8](repeating: 0, count: offset - position)) }
    position = offset
  }
}

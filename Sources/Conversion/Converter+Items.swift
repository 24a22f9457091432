import Bytes
import Quantization
import Synchronization
import Tensors

extension Converter {
  /// Rows in the type of one output, or why they cannot be.
  private typealias Blocks = Result<[UInt8], any Error>

  /// Buffers that a worker keeps from item to item.
  private struct Scratch {
    var values: [Float] = []
  }

  /// Grinds the tensors `range` and appends them to every output.
  /// - Parameters:
  ///   - wanted: of each output, where the pieces begin that are to be made, its files counted through. (default: all)
  ///   - rounded: tensors that are made already, by name.
  /// - Throws: what concerns the input, and the error of the first output when all have failed.
  func write(
    _ range: Range<Int>, within wanted: [Range<Int>] = [0..<Int.max], replacing rounded: [String: Tensor] = [:],
    into sinks: [OrderedOutput], progress: ProgressHandler?
  ) throws {
    let outputs = zip(plans, zip(sinks, wanted)).map { Output(plan: $0, sink: $1.0, wanted: $1.1) }
    let items = plans[0].items(of: range).filter { item in outputs.contains { $0.lacks(item) } }
    let total = plans.reduce(0) { $0 + $1.fileBytes }
    let costs = items.map { item in outputs.reduce(0) { $0 + $1.seconds(for: item, rounding, jobs: jobs) } }
    let work = Mutex(Progress.Work(done: 0, total: costs.reduce(0, +)))
    @Sendable func report(_ cost: Double) {
      guard let progress else { return }
      let work = work.withLock { work in
        work.done += cost
        return work
      }
      progress(
        Progress("quantizing", unit: .bytes, done: sinks.reduce(0) { $0 + $1.position }, total: total, work: work))
    }
    report(0)
    try OrderedPipeline(jobs: jobs, window: plans.window(jobs: jobs, memory: memory)).run(
      count: items.count,
      makeScratch: { Scratch() },
      produce: { index, scratch in
        let source = plans[0].entries[items[index].entry].source
        return try produce(items[index], from: rounded[source.name] ?? source, for: outputs, with: &scratch)
      },
      deliver: { index, blocks in
        for (output, blocks) in zip(outputs, blocks) { output.append(blocks, of: items[index]) }
        if sinks.allSatisfy({ $0.failure != nil }), let failure = sinks[0].failure { throw failure }
        report(costs[index])
      })
  }

  /// One of the outputs, under way.
  private struct Output {
    let plan: ConversionPlan
    let sink: OrderedOutput
    /// Pieces that begin elsewhere are there already, or another process makes them.
    let wanted: Range<Int>

    func lacks(_ item: ConversionPlan.Item) -> Bool { wanted.contains(plan.place(of: item).lowerBound) }

    func seconds(for item: ConversionPlan.Item, _ rounding: Rounding, jobs: Int) -> Double {
      guard lacks(item) else { return 0 }
      let entry = plan.entries[item.entry]
      return plan.secondsPerWeight(of: entry, rounding, jobs: jobs) * Double(item.rows.count * entry.source.columns)
    }

    /// - Parameter blocks: `nil` when it does not lack them, or does not want them any more.
    func append(_ blocks: Blocks?, of item: ConversionPlan.Item) {
      guard let blocks, sink.failure == nil else { return }
      do {
        let bytes = try blocks.get()
        let entry = plan.entries[item.entry]
        let rowBytes = bytes.count / item.rows.count
        try sink.append(bytes, file: entry.file, at: entry.offset + item.rows.lowerBound * rowBytes)
      } catch { sink.fail(error) }
    }
  }

  /// rows of W (rows, columns) as stored -> the same rows in the type of each output, made once a type.
  /// - Throws: what concerns the input, and so all outputs.
  private func produce(
    _ item: ConversionPlan.Item, from tensor: Tensor, for outputs: [Output], with scratch: inout Scratch
  ) throws -> [Blocks?] {
    let stored = try tensor.read(rows: item.rows)
    var isDecoded = false
    var made: [DType: Blocks] = [:]
    return try outputs.map { output in
      guard output.sink.failure == nil, output.lacks(item) else { return nil }
      let entry = output.plan.entries[item.entry]
      if let blocks = made[entry.type] { return blocks }
      let isCopied = tensor.dtype == entry.type
      if !isDecoded, !isCopied || tensor.dtype.isFloatingPoint {
        try decode(stored, of: item.rows, in: tensor, to: &scratch)
        isDecoded = true
      }
      let blocks = Blocks {
        let blocks =
          try isCopied
          ? stored : rounding.quantize(scratch.values.span, of: tensor, row: item.rows.lowerBound, as: entry.type)
        if !isCopied || !tensor.dtype.isFloatingPoint { try check(blocks, of: entry) }
        return blocks
      }
      made[entry.type] = blocks
      return blocks
    }
  }

  /// - Throws: `NONFINITE` naming row and column.
  private func decode(
    _ stored: [UInt8], of rows: Range<Int>, in tensor: Tensor, to scratch: inout Scratch
  ) throws(InputError) {
    let count = rows.count * tensor.columns
    if scratch.values.count != count { scratch.values = [Float](repeating: 0, count: count) }
    do {
      var values = scratch.values.mutableSpan
      unsafe BlockDecoder.decode(stored.span.bytes, as: tensor.dtype, into: &values)
    }
    if let bad = BlockQuantizer.firstNonFinite(scratch.values.span) {
      let row = rows.lowerBound + bad / tensor.columns
      throw InputError(
        .nonFinite, "row \(row), column \(bad % tensor.columns) is \(scratch.values[bad])", subject: tensor.name,
        remedy: "the checkpoint is damaged or its training diverged; download it again")
    }
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

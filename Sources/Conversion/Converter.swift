public import Bytes
import Models
public import Quantization
import Tensors

/// Carries out a `ConversionPlan`: rows are read, decoded, checked and quantized on all workers and written in order.
public struct Converter: Sendable {
  public let plan: ConversionPlan
  public let jobs: Int
  let rounding: Rounding
  /// Bytes to stay within; blocks are rounded with feedback in as many as that takes.
  let memory: Int

  /// How weights become blocks.
  public struct Rounding: Sendable {
    /// How the scales of a block are found.
    public enum Search: String, CaseIterable, Sendable {
      /// ggml's own way: the same bytes as llama-quantize.
      case standard
      /// Scales are moved on from there while the error falls.
      case thorough
    }

    /// Importance of the columns of a tensor, by its name in the output.
    public var importance: ImportanceMatrix?
    public var search = Search.standard
    /// Rounds the blocks' matrices with error feedback.
    public var feedback: (source: FeedbackSource, options: FeedbackOptions)?

    public init(
      importance: ImportanceMatrix? = nil, search: Search = .standard,
      feedback: (source: FeedbackSource, options: FeedbackOptions)? = nil
    ) {
      (self.importance, self.search, self.feedback) = (importance, search, feedback)
    }

    /// Whole rows of `tensor` from `row` on, within one of its matrices, as blocks of `type`.
    func quantize(
      _ values: Span<Float>, of tensor: Tensor, row: Int, as type: DType
    ) throws(InputError) -> [UInt8] {
      try quantize(
        values, columns: tensor.columns, as: type, importance: importance?.columns(of: tensor, row: row))
    }

    /// - Parameter importance: of the columns, in place of the matrix's own.
    func quantize(
      _ values: Span<Float>, columns: Int, as type: DType, importance: ArraySlice<Float>?
    ) throws(InputError) -> [UInt8] {
      var out = [UInt8](repeating: 0, count: try type.byteCount(of: values.count))
      var span = out.mutableSpan
      var bytes = unsafe span.mutableBytes
      switch search {
      case .standard:
        BlockQuantizer.quantize(values, columns: columns, as: type, importance: importance?.span, into: &bytes)
      case .thorough:
        try ThoroughSearch.quantize(values, columns: columns, as: type, importance: importance?.span, into: &bytes)
      }
      return out
    }
  }

  public init(plan: ConversionPlan, jobs: Int, rounding: Rounding = Rounding(), memory: Int = 4 << 30) {
    (self.plan, self.jobs, self.rounding, self.memory) = (plan, jobs, rounding, memory)
  }

  /// - Throws: `LIMIT` when the memory is too little for the plan.
  public func checkMemory() throws { _ = try plan.window(jobs: jobs, memory: memory) }

  /// What was written.
  public struct Result: Sendable {
    public var fileBytes: Int
    public var bytesRead: Int
    /// Of the output, made by an earlier run that did not end.
    public var resumedBytes = 0
    /// Of the whole file, in hexadecimal.
    public var sha256: String
    /// What was rounded plainly although feedback was asked for.
    public var fallbacks: [FeedbackFallback] = []
  }

  /// Writes the planned file to `output` and publishes it.
  /// - Parameters:
  ///   - state: keeps what was done, for the same run to go on with; removed when the output is published.
  ///   - saveInterval: at least so much time passes between two savings of what was written. Blocks that error feedback has
  ///     rounded are saved one by one.
  ///   - hiddenStates: keeps those of the text that feedback walks; removed likewise.
  /// - Throws: `NONFINITE` naming the tensor and element when a weight is NaN or infinite; `CHANGED` when the input was
  ///   written to meanwhile; `Interrupted`; reading and writing errors. What stood under the final name still stands then.
  public func run(
    into output: OutputFile, checking input: ModelInput, state: RunState? = nil,
    saveInterval: Duration = Converter.saveInterval, hiddenStates: FeedbackCheckpoints? = nil,
    progress: ProgressHandler? = nil
  ) throws -> Result {
    var result = Result(fileBytes: plan.fileBytes, bytesRead: plan.sourceBytes, sha256: "")
    let sink = OrderedOutput(output, state: rounding.feedback == nil ? state : nil, interval: saveInterval)
    do {
      try grind(input.model, into: sink, of: output, state, hiddenStates, &result, progress)
      try input.checkUnchanged()
      try output.publish()
    } catch {
      sink.abandon(after: error)
      throw error
    }
    // The state last: hidden states without it would be refused.
    try hiddenStates?.remove()
    try state?.remove()
    return result
  }

  /// Long enough not to be felt, short enough that nothing to speak of is done twice.
  public static let saveInterval = Duration.seconds(1)

  private func grind(
    _ model: ModelSource, into sink: OrderedOutput, of output: OutputFile, _ state: RunState?,
    _ hiddenStates: FeedbackCheckpoints?, _ result: inout Result, _ progress: ProgressHandler?
  ) throws {
    let start = try sink.takeOver(plan.hasPiece(endingAt:))
    result.resumedBytes = start
    try output.reserve(plan.fileBytes)
    if start == 0 { try sink.append(plan.header, at: 0) }
    if let feedback = rounding.feedback {
      result.fallbacks = try grind(model, with: feedback, into: sink, state, hiddenStates, progress)
    } else {
      try write(0..<plan.entries.count, from: start, into: sink, progress: progress)
    }
    result.sha256 = try sink.finish(at: plan.fileBytes)
    progress?(Progress("quantizing", unit: .bytes, done: plan.fileBytes, total: plan.fileBytes))
  }

  /// Writes what comes before the blocks, then block after block as it is rounded: the order of the file.
  private func grind(
    _ model: ModelSource, with feedback: (source: FeedbackSource, options: FeedbackOptions),
    into sink: OrderedOutput, _ state: RunState?, _ hiddenStates: FeedbackCheckpoints?,
    _ progress: ProgressHandler?
  ) throws -> [FeedbackFallback] {
    var fallbacks: [FeedbackFallback] = []
    var written = plan.entries.firstIndex { $0.source.layer != nil } ?? plan.entries.count
    try write(0..<written, into: sink, progress: nil)
    let run = FeedbackRun(
      model: model, types: plan.quantizedTypes, source: feedback.source, options: feedback.options, jobs: jobs)
    try run.run(
      progress: progress, finished: { try state?.layer($0, of: plan) }, checkpoints: hiddenStates
    ) { layer in
      if let state, !state.holds(layer: layer.index) { try state.append(layer) }
      let end = plan.entries.lastIndex { $0.source.layer == layer.index }! + 1
      try write(
        written..<end, replacing: Dictionary(uniqueKeysWithValues: layer.tensors.map { ($0.name, $0) }), into: sink,
        progress: nil)
      written = end
      fallbacks += layer.fallbacks
    }
    try write(written..<plan.entries.count, into: sink, progress: nil)
    return fallbacks
  }

  /// Grinds the tensors `range` and appends them.
  /// - Parameters:
  ///   - start: what comes before it in the output is there already.
  ///   - rounded: tensors that are made already, by name.
  private func write(
    _ range: Range<Int>, from start: Int = 0, replacing rounded: [String: Tensor] = [:], into sink: OrderedOutput,
    progress: ProgressHandler?
  ) throws {
    let items = plan.items(of: range).filter { plan.place(of: $0).lowerBound >= start }
    try OrderedPipeline(jobs: jobs, window: plan.window(jobs: jobs, memory: memory)).run(
      count: items.count,
      makeScratch: { Scratch() },
      produce: { index, scratch in
        let entry = plan.entries[items[index].entry]
        return try produce(
          items[index].rows, of: entry, from: rounded[entry.source.name] ?? entry.source, with: &scratch)
      },
      deliver: { index, bytes in
        let place = plan.place(of: items[index])
        try sink.append(bytes, at: place.lowerBound)
        progress?(Progress("quantizing", unit: .bytes, done: place.lowerBound, total: plan.fileBytes))
      })
  }

  /// Buffers that a worker keeps from item to item.
  private struct Scratch {
    var values: [Float] = []
  }

  /// rows of W (rows, columns) as stored -> the same rows in the type of the output.
  private func produce(
    _ rows: Range<Int>, of entry: ConversionPlan.Entry, from tensor: Tensor, with scratch: inout Scratch
  ) throws -> [UInt8] {
    let stored = try tensor.read(rows: rows)
    if tensor.dtype == entry.type && !tensor.dtype.isFloatingPoint {
      try check(stored, of: entry)
      return stored
    }

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
    if tensor.dtype == entry.type { return stored }

    let out = try rounding.quantize(scratch.values.span, of: tensor, row: rows.lowerBound, as: entry.type)
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

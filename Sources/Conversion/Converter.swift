public import Bytes
import Models
public import Quantization
import Tensors

/// Carries out `ConversionPlan`s: rows are read, decoded and checked once, quantized for each plan on all workers, and written
/// in order.
public struct Converter: Sendable {
  /// Of the same model, each for an output of its own.
  public let plans: [ConversionPlan]
  public let jobs: Int
  let rounding: Rounding

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
    public var feedback: (text: CalibrationText, options: FeedbackOptions)?

    public init(
      importance: ImportanceMatrix? = nil, search: Search = .standard,
      feedback: (text: CalibrationText, options: FeedbackOptions)? = nil
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

  public init(plan: ConversionPlan, jobs: Int, rounding: Rounding = Rounding()) {
    self.init(plans: [plan], jobs: jobs, rounding: rounding)
  }

  /// - Parameters:
  ///   - plans: at least one; one if weights are rounded with error feedback, which depends on all types at once.
  public init(plans: [ConversionPlan], jobs: Int, rounding: Rounding = Rounding()) {
    precondition(!plans.isEmpty && (plans.count == 1 || rounding.feedback == nil), "one plan to round with feedback")
    precondition(
      plans.allSatisfy { $0.entries.elementsEqual(plans[0].entries) { $0.source.name == $1.source.name } },
      "plans of different models")
    (self.plans, self.jobs, self.rounding) = (plans, jobs, rounding)
  }

  /// What was written.
  public struct Written: Sendable {
    /// One, or the members of a split set.
    public var files: [WrittenFile]
    public var bytesRead: Int
    /// What was rounded plainly although feedback was asked for.
    public var fallbacks: [FeedbackFallback] = []

    public var fileBytes: Int { files.reduce(0) { $0 + $1.bytes } }
    /// Of the first file.
    public var sha256: String { files[0].sha256 }
  }

  /// Writes the one planned file to `output` and publishes it.
  /// - Throws: also what the list below holds in the place of an output.
  public func run(
    into output: OutputFile, checking input: ModelInput, state: RunState? = nil, progress: ProgressHandler? = nil
  ) throws -> Written {
    try run(into: [OutputSet(output)], checking: input, state: state, progress: progress)[0].get()
  }

  /// Makes every output and publishes it as a whole. Its bytes do not depend on what else is made.
  /// - Parameters:
  ///   - outputs: one for each plan.
  ///   - state: keeps the blocks that error feedback has rounded, and removed when the output is published.
  /// - Returns: for each output what was written, or why it was not: weights that its type cannot hold, a failed write.
  /// - Throws: `NONFINITE` naming the tensor and element when a weight is NaN or infinite; errors of reading. No output is
  ///   made then. The temporary files of what is not made are removed, and what stood under the final name still stands.
  public func run(
    into outputs: [OutputSet], checking input: ModelInput, state: RunState? = nil, progress: ProgressHandler? = nil
  ) throws -> [Result<Written, any Error>] {
    precondition(outputs.count == plans.count, "an output for every plan")
    let made: [Result<Written, any Error>]
    do {
      made = try grind(input.model, into: outputs, state, progress)
      try input.checkUnchanged()
    } catch {
      for output in outputs { output.discard() }
      throw error
    }
    let published = zip(outputs, made).map { output, made in
      Result {
        guard case .success(let written) = made else {
          output.discard()
          return try made.get()
        }
        // Publishing cleans up after itself; discarding again would close a descriptor that may be another file's by then.
        try output.publish()
        return written
      }
    }
    if published.allSatisfy({ (try? $0.get()) != nil }) { try state?.remove() }
    return published
  }

  private func grind(
    _ model: ModelSource, into outputs: [OutputSet], _ state: RunState?, _ progress: ProgressHandler?
  ) throws -> [Result<Written, any Error>] {
    let sinks = try zip(outputs, plans).map { try OutputSink($0, $1.layouts) }
    var fallbacks: [FeedbackFallback] = []
    if let feedback = rounding.feedback {
      fallbacks = try grind(model, with: feedback, into: sinks, state, progress)
    } else {
      try write(0..<plans[0].entries.count, into: sinks, progress: progress)
    }
    let total = plans.reduce(0) { $0 + $1.fileBytes }
    progress?(Progress("quantizing", unit: .bytes, done: total, total: total))
    return zip(sinks, plans).map { sink, plan in
      Result {
        if let failure = sink.failure { throw failure }
        return Written(files: sink.finish(), bytesRead: plan.sourceBytes, fallbacks: fallbacks)
      }
    }
  }

  /// Writes what comes before the blocks, then block after block as it is rounded: the order of the file.
  private func grind(
    _ model: ModelSource, with feedback: (text: CalibrationText, options: FeedbackOptions),
    into sinks: [OutputSink], _ state: RunState?, _ progress: ProgressHandler?
  ) throws -> [FeedbackFallback] {
    let plan = plans[0]
    var fallbacks: [FeedbackFallback] = []
    var written = plan.entries.firstIndex { $0.source.layer != nil } ?? plan.entries.count
    try write(0..<written, into: sinks, progress: nil)
    let run = FeedbackRun(
      model: model, types: plan.quantizedTypes, text: feedback.text, options: feedback.options, jobs: jobs)
    try run.run(progress: progress, finished: { try state?.layer($0, of: plan) }) { layer in
      if let state, !state.holds(layer: layer.index) { try state.append(layer) }
      let end = plan.entries.lastIndex { $0.source.layer == layer.index }! + 1
      try write(
        written..<end, replacing: Dictionary(uniqueKeysWithValues: layer.tensors.map { ($0.name, $0) }), into: sinks,
        progress: nil)
      written = end
      fallbacks += layer.fallbacks
    }
    try write(written..<plan.entries.count, into: sinks, progress: nil)
    return fallbacks
  }
}

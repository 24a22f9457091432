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
  /// Bytes to stay within.
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
    self.init(plans: [plan], jobs: jobs, rounding: rounding, memory: memory)
  }

  /// - Parameters:
  ///   - plans: at least one; one if weights are rounded with error feedback, which depends on all types at once.
  public init(plans: [ConversionPlan], jobs: Int, rounding: Rounding = Rounding(), memory: Int = 4 << 30) {
    precondition(!plans.isEmpty && (plans.count == 1 || rounding.feedback == nil), "one plan to round with feedback")
    precondition(
      plans.allSatisfy { $0.entries.elementsEqual(plans[0].entries) { $0.source.name == $1.source.name } },
      "plans of different models")
    (self.plans, self.jobs, self.rounding, self.memory) = (plans, jobs, rounding, memory)
  }

  /// - Throws: `LIMIT` when the memory is too little for the plans.
  public func checkMemory() throws { _ = try plans.window(jobs: jobs, memory: memory) }

  /// What was written.
  public struct Written: Sendable {
    /// One, or the members of a split set.
    public var files: [WrittenFile]
    public var bytesRead: Int
    /// Of the output, made by an earlier run that did not end.
    public var resumedBytes: Int
    /// What was rounded plainly although feedback was asked for.
    public var fallbacks: [FeedbackFallback] = []

    public var fileBytes: Int { files.reduce(0) { $0 + $1.bytes } }
    /// Of the first file.
    public var sha256: String { files[0].sha256 }
  }

  /// What is to be made of a plan.
  public struct Target {
    public var output: OutputSet
    /// Keeps what was done, for the same run to go on with; removed when the output is published.
    public var state: RunState?
    /// Keeps those of the text that feedback walks; removed likewise.
    public var hiddenStates: FeedbackCheckpoints?
    /// Says beside the output what it is.
    public var attestation: Attestation?

    public init(
      _ output: OutputSet, state: RunState? = nil, hiddenStates: FeedbackCheckpoints? = nil,
      attestation: Attestation? = nil
    ) {
      (self.output, self.state, self.hiddenStates, self.attestation) = (output, state, hiddenStates, attestation)
    }
  }

  /// Long enough not to be felt, short enough that nothing to speak of is done twice.
  public static let saveInterval = Duration.seconds(1)

  /// Writes the one planned file to `output` and publishes it.
  /// - Throws: also what the list below holds in the place of an output.
  public func run(
    into output: OutputFile, checking input: ModelInput, state: RunState? = nil,
    saveInterval: Duration = Converter.saveInterval, hiddenStates: FeedbackCheckpoints? = nil,
    progress: ProgressHandler? = nil
  ) throws -> Written {
    try run(
      into: [Target(OutputSet(output), state: state, hiddenStates: hiddenStates)], checking: input,
      saveInterval: saveInterval, progress: progress)[
        0
      ]
      .get()
  }

  /// Makes every output and publishes it as a whole. Its bytes do not depend on what else is made.
  /// - Parameters:
  ///   - targets: one for each plan.
  ///   - saveInterval: at least so much time passes between two savings of what was written. Blocks that error feedback has
  ///     rounded are saved one by one.
  /// - Returns: for each output what was written, or why it was not: weights that its type cannot hold, a failed write.
  /// - Throws: `NONFINITE` naming the tensor and element when a weight is NaN or infinite; `CHANGED` when the input was
  ///   written to meanwhile; `Interrupted`; errors of reading. No output is made then, and what stood under the final names
  ///   still stands.
  public func run(
    into targets: [Target], checking input: ModelInput, saveInterval: Duration = Converter.saveInterval,
    progress: ProgressHandler? = nil
  ) throws -> [Result<Written, any Error>] {
    precondition(targets.count == plans.count, "a target for every plan")
    let sinks = zip(targets, plans).map { target, plan in
      OrderedOutput(
        target.output, plan.layouts, state: rounding.feedback == nil ? target.state : nil, interval: saveInterval)
    }
    let made: [Result<Written, any Error>]
    do {
      made = try grind(input.model, into: sinks, targets[0], progress)
      try input.checkUnchanged()
    } catch {
      for sink in sinks { sink.abandon(after: sink.failure ?? error) }
      throw error
    }
    return targets.indices.map { index in
      Result { try publish(made[index], as: targets[index], plans[index], after: sinks[index]) }
    }
  }

  private func publish(
    _ made: Result<Written, any Error>, as target: Target, _ plan: ConversionPlan, after sink: OrderedOutput
  ) throws -> Written {
    do {
      let written = try made.get()
      try target.attestation?.write(written.files, plan.layouts, from: target.output, jobs: jobs)
      try target.output.publish()
      try target.attestation?.publish()
      // The state last: hidden states without it would be refused.
      try target.hiddenStates?.remove()
      try target.state?.remove()
      return written
    } catch {
      sink.abandon(after: error)
      throw error
    }
  }

  private func grind(
    _ model: ModelSource, into sinks: [OrderedOutput], _ first: Target, _ progress: ProgressHandler?
  ) throws -> [Result<Written, any Error>] {
    let starts = try zip(sinks, plans).map { sink, plan in try sink.begin(plan.hasPiece(endingAt:)) }
    var fallbacks: [FeedbackFallback] = []
    if let feedback = rounding.feedback {
      fallbacks = try grind(model, with: feedback, into: sinks[0], first, progress: progress)
    } else {
      try write(0..<plans[0].entries.count, within: starts.map { $0..<Int.max }, into: sinks, progress: progress)
    }
    let total = plans.reduce(0) { $0 + $1.fileBytes }
    progress?(Progress("quantizing", unit: .bytes, done: total, total: total))
    return zip(zip(sinks, starts), plans).map { sink, plan in
      Result {
        Written(
          files: try sink.0.finish(), bytesRead: plan.sourceBytes, resumedBytes: sink.1, fallbacks: fallbacks)
      }
    }
  }

  /// Writes what comes before the blocks, then block after block as it is rounded: the order of the file.
  /// - Parameters:
  ///   - wanted: where pieces begin that are to be made; all of a block or nothing.
  func grind(
    _ model: ModelSource, with feedback: (source: FeedbackSource, options: FeedbackOptions),
    into sink: OrderedOutput, within wanted: Range<Int> = 0..<Int.max, _ target: Target? = nil,
    progress: ProgressHandler?
  ) throws -> [FeedbackFallback] {
    let (plan, state) = (plans[0], target?.state)
    var fallbacks: [FeedbackFallback] = []
    let inBlocks = plan.entries.indices.filter { plan.entries[$0].source.layer != nil }
    try write(0..<(inBlocks.first ?? plan.entries.count), within: [wanted], into: [sink], progress: nil)
    let run = FeedbackRun(
      model: model, types: plan.quantizedTypes, source: feedback.source, options: feedback.options, jobs: jobs)
    try run.run(
      layers: plan.blocks(within: wanted), progress: progress, finished: { try state?.layer($0, of: plan) },
      checkpoints: target?.hiddenStates
    ) { layer in
      if let state, !state.holds(layer: layer.index) { try state.append(layer) }
      try write(
        plan.entries(ofBlock: layer.index),
        replacing: Dictionary(uniqueKeysWithValues: layer.tensors.map { ($0.name, $0) }), into: [sink], progress: nil)
      fallbacks += layer.fallbacks
    }
    if let last = inBlocks.last {
      try write(last + 1..<plan.entries.count, within: [wanted], into: [sink], progress: nil)
    }
    return fallbacks
  }
}

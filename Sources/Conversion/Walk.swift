import Bytes
public import Models
public import Tensors
import Tokenizers

/// How a text is pushed through a model.
public struct WalkOptions: Sendable {
  /// Tokens in a chunk.
  public var context: Int
  /// At most so many chunks; all when `nil`.
  public var chunks: Int?
  public var jobs: Int
  /// Bytes to stay within, all in all.
  public var memory: Int
  /// Is told how a walk divides the memory.
  public var memoryPlan: @Sendable (WalkMemory) -> Void = { _ in }

  /// Of products with weights.
  public var arithmetic: Arithmetic

  public init(
    context: Int = 512, chunks: Int? = nil, jobs: Int, memory: Int = 4 << 30, arithmetic: Arithmetic = .f32
  ) {
    (self.context, self.chunks, self.jobs, self.memory) = (context, chunks, jobs, memory)
    self.arithmetic = arithmetic
  }

  /// Bytes that hidden states may take where nothing finer is planned: a quarter.
  var stateBytes: Int { memory / 4 }

  /// How `memory` is divided in a walk of `models`, beside what is in use already. Of several walks one after the other,
  /// all are to be planned before the first.
  /// - Parameter sharesBuffers: whether models that compute alike do so in the same buffers.
  func plan(_ models: [ModelInput], _ text: TextChunks, sharesBuffers: Bool = true) throws -> WalkMemory {
    let plan = try WalkMemory(
      models.map(\.model.parameters), text, jobs: jobs, budget: memory, inUse: Machine.peakResidentBytes,
      sharesBuffers: sharesBuffers)
    memoryPlan(plan)
    return plan
  }

  /// `text` in the tokens of `model`, cut by the perplexity rule.
  func chunks(of text: TextFile, for model: ModelInput) throws -> TextChunks {
    let tokens = model.tokenizer.encode(text.bytes, addSpecial: true, parseSpecial: false)
    do {
      return try TextChunks(
        tokens, context: context, bos: model.tokenizer.addsBOS ? model.tokenizer.bosID : nil, limit: chunks)
    } catch {
      throw error.adding(file: text.path)
    }
  }

  func evaluation(
    _ text: TextChunks, _ plan: WalkMemory, _ activity: String, _ progress: ProgressHandler?
  ) -> Evaluation {
    Evaluation(text, stateBytes: plan.states) { walked in
      progress?(Progress(activity, walked))
      try Interruption.check()
    }
  }
}

/// The perplexity of one model on a text.
public struct PerplexityRun {
  private let model: ModelInput
  private let text: TextFile
  private let options: WalkOptions
  private let logits: OutputFile?
  private let floorChunks: Int?

  /// - Parameters:
  ///   - logits: takes all predictions in the form of `LogitsFile`; the run publishes or discards it.
  ///   - floorChunks: so many chunks are walked in F32 too, to measure the arithmetic.
  public init(
    model: ModelInput, text: TextFile, options: WalkOptions, logits: OutputFile? = nil, floorChunks: Int? = nil
  ) {
    (self.model, self.text, self.options) = (model, text, options)
    (self.logits, self.floorChunks) = (logits, floorChunks)
  }

  public struct Report: Sendable {
    public var perplexity: Double
    public var standardError: Double
    public var tokensScored: Int
    public var chunks: Int
    public var context: Int
    public var tokensPerSecond: Double
    public var model: String
    public var arithmetic: Arithmetic
    /// Of the products of matrices: 10⁹ operations a second of one thread's time on a processor.
    public var gigaflops: Double
    public var floor: ArithmeticFloor?

    public var json: JSONText {
      .object(
        [
          ("perplexity", .double(perplexity)), ("standard_error", .double(standardError)),
          ("tokens_scored", .int(tokensScored)), ("chunks", .int(chunks)), ("context", .int(context)),
          ("tokens_per_second", .double(tokensPerSecond)), ("model", .string(model)),
          ("arithmetic", .string(arithmetic.rawValue)),
          ("matmul_gflops_per_thread", .double(gigaflops)),
        ] + (floor.map { [("floor", $0.json)] } ?? []))
    }

    public var text: String {
      """
      perplexity \(decimals(perplexity, 4)) ± \(decimals(standardError, 4)) over \(tokensScored) tokens in \
      \(chunks) chunks of \(context), \(decimals(tokensPerSecond, 0)) tokens/s\(arithmetic == .f32 ? "" : " in \(arithmetic)")\
      \(floor.map { "\n" + $0.text } ?? "")
      """
    }
  }

  public func run(progress: ProgressHandler? = nil) throws -> Report {
    let report: Report
    do {
      report = try measure(progress)
    } catch {
      logits?.discard()
      throw error
    }
    // Discards by itself where it fails.
    try logits?.publish()
    return report
  }

  private func measure(_ progress: ProgressHandler?) throws -> Report {
    let chunks = try options.chunks(of: text, for: model)
    let began = ContinuousClock.now
    let plan = try options.plan([model], chunks)
    let floor = try floorChunks.map { try ArithmeticFloor.Walk(of: model, chunks.first($0), options) }
    let (score, work) = try walk(chunks, plan, progress)
    let tokensPerSecond = Double(chunks.count * chunks.context) / Machine.seconds(since: began)
    return Report(
      perplexity: score.perplexity, standardError: score.standardError, tokensScored: score.count, chunks: chunks.count,
      context: chunks.context,
      tokensPerSecond: tokensPerSecond, model: model.path, arithmetic: options.arithmetic,
      gigaflops: work.gigaflops, floor: try floor?.run(progress))
  }

  private func walk(
    _ chunks: TextChunks, _ plan: WalkMemory, _ progress: ProgressHandler?
  ) throws -> (LogLikelihood, ProductWork) {
    let pass = try ForwardPass(
      model.model, jobs: options.jobs, arithmetic: options.arithmetic, residentOutput: plan.residentOutput)
    let file = try logits.map {
      try LogitsFileWriter($0, chunks, vocabularySize: model.model.parameters.vocabularySize, jobs: options.jobs)
    }
    let score = try options.evaluation(chunks, plan, "walking the layers", progress).perplexity(of: pass, saving: file)
    return (score, pass.work)
  }
}

/// What products of matrices are computed in.
public typealias Arithmetic = Tensors.Arithmetic

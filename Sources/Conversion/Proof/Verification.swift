import Bytes
import Models
import Tensors

/// The drift of quantized models from the one they were made from.
public struct Verification {
  private let candidates: [ModelInput]
  private let reference: ModelInput
  private let text: TextFile
  private let options: WalkOptions
  private let gates: Gates
  private let extras: Extras

  /// What takes longer than the walk and is not always asked for.
  public struct Extras: Hashable, Sendable {
    /// The digests of the models' files, which must be read whole for it.
    public var hashes = false
    /// What each tensor does alone, over so many chunks.
    public var attributionChunks: Int?
    /// Ends the walk when every candidate is certain to fail a gate.
    public var failsFast = false
    /// How far the arithmetic of the walk is from F32 on the reference, over so many chunks.
    public var floorChunks: Int?

    public init(
      hashes: Bool = false, attributionChunks: Int? = nil, failsFast: Bool = false, floorChunks: Int? = nil
    ) {
      (self.hashes, self.attributionChunks, self.failsFast) = (hashes, attributionChunks, failsFast)
      self.floorChunks = floorChunks
    }
  }

  /// - Parameter candidates: at least one.
  public init(
    candidates: [ModelInput], reference: ModelInput, text: TextFile, options: WalkOptions, gates: Gates = Gates(),
    extras: Extras = Extras()
  ) {
    precondition(!candidates.isEmpty, "no model to verify")
    (self.candidates, self.reference, self.text) = (candidates, reference, text)
    (self.options, self.gates, self.extras) = (options, gates, extras)
  }

  /// All that decides what the walk finds.
  public func identity() throws -> RunIdentity {
    let chunks = try options.chunks(of: text, for: reference)
    return [
      ("version", Version.current), ("reference", reference.stamp),
      ("models", candidates.map(\.stamp).joined(separator: " ")),
      ("text", RunState.hash(of: (0..<chunks.count).map(chunks.input))), ("arithmetic", "\(options.arithmetic)"),
    ]
  }

  /// How often a walk that may be killed is saved, at the end of a layer: writing gigabytes so often is not felt.
  public static let saveInterval = Duration.seconds(300)

  /// Walks all models over the same chunks, the reference once.
  /// - Parameter state: is read at the start and saved to at most every `saveInterval`, and when the process is asked to end; it
  ///   is left to the caller.
  /// - Throws: `SHAPE` when the models or their tokens differ, so that nothing is compared that cannot be; `Interrupted`.
  public func run(
    state: RunState? = nil, saveInterval: Duration = Verification.saveInterval, progress: ProgressHandler? = nil
  ) throws -> DriftReport {
    var chunks = try options.chunks(of: text, for: reference)
    for candidate in candidates { try checkTokens(of: candidate, chunks) }
    let plan = try options.plan([reference] + candidates, chunks)
    var notes: [String] = []
    var floor: ArithmeticFloor.Walk?
    do {
      floor = try extras.floorChunks.map { try ArithmeticFloor.Walk(of: reference, chunks.first($0), options) }
    } catch let error as InputError where error.code == .limit {
      // Both arithmetics need a layer each, which the walk itself does not.
      notes.append("how far \(options.arithmetic) is from f32 was not measured: \(error.problem)")
    }
    let keeper = state.map {
      DriftCheckpoints(
        $0, interval: saveInterval, text: chunks, depth: reference.model.parameters.layerCount, count: candidates.count)
    }
    let walked = try walk(chunks, plan, keeper, progress)
    if let failure = keeper?.failure { notes.append("how far the walk was could not be kept: \(failure)") }
    let scored = walked[0].drift.count / chunks.scored.count
    if scored < chunks.count {
      let certain = walked.compactMap { gates.certainFailure($0.drift, of: chunks.scoredCount)?.rawValue }
      notes.append(
        "stopped after \(scored) of \(chunks.count) chunks, since whatever the others show fails "
          + Set(certain).sorted().joined(separator: " and "))
      chunks = chunks.first(scored)
    }
    let attributed = try extras.attributionChunks.map { try attribute(chunks.first($0), plan, progress) }
    return DriftReport(
      reference: try facts(),
      candidates: try candidates.indices.map {
        try row(candidates[$0], walked[$0], chunks, attributed?[$0] ?? [:])
      },
      text: DriftReport.TextFacts(
        path: text.path, name: ProofFacts.name(text.path), sha256: ProofFacts.sha256(text.bytes), chunks: chunks.count,
        context: chunks.context, tokensScored: chunks.scoredCount),
      arithmetic: "\(options.arithmetic)", version: Version.current, floor: try floor?.run(progress),
      notes: notes + (attributed == nil ? [] : unmeasured()))
  }

  private func walk(
    _ chunks: TextChunks, _ plan: WalkMemory, _ keeper: DriftCheckpoints?, _ progress: ProgressHandler?
  ) throws -> [CandidateDrift] {
    let first = try ForwardPass(
      reference.model, jobs: options.jobs, arithmetic: options.arithmetic, residentOutput: plan.residentOutput)
    let others = try candidates.map {
      try ForwardPass(
        $0.model, jobs: options.jobs, arithmetic: options.arithmetic, sharing: first,
        residentOutput: plan.residentOutput)
    }
    return try options.evaluation(chunks, plan, "walking \(others.count + 1) models", progress)
      .drift(of: others, from: first, keeper: keeper) { found in
        extras.failsFast && found.allSatisfy { gates.certainFailure($0.drift, of: chunks.scoredCount) != nil }
      }
  }

  /// What each tensor of each candidate does alone, by name. A tensor that is the reference's does nothing.
  private func attribute(
    _ chunks: TextChunks, _ plan: WalkMemory, _ progress: ProgressHandler?
  ) throws -> [[String: Double]] {
    let attribution = Attribution(
      reference: reference.model, chunks: chunks, jobs: options.jobs, stateBytes: plan.states,
      arithmetic: options.arithmetic, residentOutput: plan.residentOutput)
    return try candidates.map { candidate in
      let tensors = candidate.model.tensors.filter { reference.model[$0.name] != nil && Attribution.measures($0) }
      let values = try attribution.divergences(of: tensors, progress: progress)
      return Dictionary(zip(tensors.map(\.name), values), uniquingKeysWith: { first, _ in first })
    }
  }

  /// What `--attribute` leaves out.
  private func unmeasured() -> [String] {
    let names = Set(candidates.flatMap { $0.model.tensors.filter { !Attribution.measures($0) }.map(\.name) })
    return names.sorted().map { "what \($0) alone causes is not measured: it is frequencies, which no type quantizes" }
  }

  private func facts() throws -> DriftReport.Reference {
    DriftReport.Reference(
      name: ProofFacts.name(reference.path), path: reference.path, format: ProofFacts.format(reference),
      fileBytes: reference.fileBytes, bitsPerWeight: reference.bitsPerWeight,
      sha256: extras.hashes ? try ProofFacts.sha256(of: reference) : nil)
  }

  private func row(
    _ candidate: ModelInput, _ walked: CandidateDrift, _ chunks: TextChunks, _ attributed: [String: Double]
  ) throws -> DriftReport.Candidate {
    let layers = walked.layers.enumerated().map { layer, drift in
      DriftReport.LayerRow(
        layer: layer, relativeRMSError: drift.state.relativeRMSError, cosine: drift.state.cosine,
        added: drift.added.relativeRMSError)
    }
    return try ProofFacts.row(
      candidate, walked.drift, layers: layers,
      tensors: try candidate.model.tensors.map { tensor in
        DriftReport.TensorRow(
          name: tensor.name, type: tensor.dtype, bitsPerWeight: tensor.dtype.bitsPerElement,
          elements: tensor.shape.elementCount,
          relativeRMSError: try reference.model[tensor.name].map {
            try WeightError.relativeRMS(of: tensor, from: $0, jobs: options.jobs)
          }, attributedDivergence: attributed[tensor.name])
      },
      worst: walked.worst.map { ProofFacts.worst($0, chunks, reference.tokenizer) },
      differences: ProofFacts.differences(of: candidate, from: reference), gates: gates, hashes: extras.hashes)
  }

  /// Both tokenizers must cut the text alike: a wrong pre-tokenizer is a defect of the candidate, not a quantization error.
  private func checkTokens(of candidate: ModelInput, _ chunks: TextChunks) throws {
    let other = try options.chunks(of: text, for: candidate)
    var token = min(other.count, chunks.count) * chunks.context
    for chunk in 0..<min(other.count, chunks.count) where other.input(chunk) != chunks.input(chunk) {
      let (a, b) = (other.input(chunk), chunks.input(chunk))
      token = chunk * chunks.context + (zip(a, b).enumerated().first { $1.0 != $1.1 }?.offset ?? 0)
      break
    }
    guard token < chunks.count * chunks.context || other.count != chunks.count else { return }
    let named = ProofFacts.differences(of: candidate, from: reference).filter { $0.key.hasPrefix("tokenizer.") }
    throw InputError(
      .shape,
      "its tokens of \(text.path) differ from those of \(reference.path) at token \(token)"
        + named.map { "; \($0.key) is \($0.candidate) where the reference has \($0.reference)" }.joined(),
      file: candidate.path, subject: "tokenizer",
      remedy: "the vocabularies or pre-tokenizers differ; compare with the model that it was made from")
  }
}

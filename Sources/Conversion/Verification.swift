import Bytes
import Models
import Tensors

/// The drift of a quantized model from the one it was made from.
public struct Verification {
  private let candidate: ModelInput
  private let reference: ModelInput
  private let text: TextFile
  private let options: WalkOptions
  private let gates: Gates

  public init(
    candidate: ModelInput, reference: ModelInput, text: TextFile, options: WalkOptions, gates: Gates = Gates()
  ) {
    (self.candidate, self.reference, self.text) = (candidate, reference, text)
    (self.options, self.gates) = (options, gates)
  }

  /// Walks both models over the same chunks.
  /// - Throws: `SHAPE` when the models or their tokens differ, so that nothing is compared that cannot be.
  public func run(progress: ProgressHandler? = nil) throws -> DriftReport {
    let chunks = try options.chunks(of: text, for: reference)
    try checkTokens(chunks)
    let first = try ForwardPass(reference.model, jobs: options.jobs)
    let second = try ForwardPass(candidate.model, jobs: options.jobs, sharing: first)
    let (drift, layers) = try options.evaluation(chunks, "walking both models", progress).drift(of: second, from: first)
    let tensors = try candidate.model.tensors.map { tensor in
      DriftReport.TensorRow(
        name: tensor.name, type: tensor.dtype, bitsPerWeight: tensor.dtype.bitsPerElement,
        relativeRMSError: try reference.model[tensor.name].map {
          try WeightError.relativeRMS(of: tensor, from: $0, jobs: options.jobs)
        }, attributedDivergence: nil, elements: tensor.shape.elementCount)
    }
    let row = DriftReport.Candidate(
      name: fileName(candidate.path), path: candidate.path, fileType: "Q4_K_M", fileBytes: candidate.fileBytes,
      bitsPerWeight: candidate.bitsPerWeight, sha256: nil, drift: drift,
      layers: layers.enumerated().map { layer, state in
        DriftReport.LayerRow(
          layer: layer, relativeRMSError: state.relativeRMSError, cosine: state.cosine,
          added: state.relativeRMSError - (layer > 0 ? layers[layer - 1].relativeRMSError : 0))
      }, tensors: tensors, worst: [], gates: gates.results(for: drift), provenance: [], differences: [])
    return DriftReport(
      reference: DriftReport.Reference(
        name: fileName(reference.path), path: reference.path, format: "GGUF", fileBytes: reference.fileBytes,
        bitsPerWeight: reference.bitsPerWeight, sha256: nil),
      candidates: [row],
      text: DriftReport.TextFacts(
        path: text.path, name: fileName(text.path), sha256: "", chunks: chunks.count, context: chunks.context,
        tokensScored: drift.count), arithmetic: "f32", version: Version.current)
  }

  /// Both tokenizers must cut the text alike: a wrong pre-tokenizer is a defect of the candidate, not a quantization error.
  private func checkTokens(_ chunks: TextChunks) throws {
    let other = try options.chunks(of: text, for: candidate)
    guard other.count == chunks.count else { throw difference(at: min(other.count, chunks.count) * chunks.context) }
    for chunk in 0..<chunks.count where other.input(chunk) != chunks.input(chunk) {
      let (a, b) = (other.input(chunk), chunks.input(chunk))
      throw difference(at: chunk * chunks.context + (zip(a, b).enumerated().first { $1.0 != $1.1 }?.offset ?? 0))
    }
  }

  private func difference(at token: Int) -> InputError {
    InputError(
      .shape, "its tokens of \(text.path) differ from those of \(reference.path) at token \(token)",
      file: candidate.path, subject: "tokenizer",
      remedy: "the vocabularies or pre-tokenizers differ; compare with the model that it was made from")
  }
}

/// Limits that a model must keep to be published.
public struct Gates: Sendable {
  private let limits: [(name: String, limit: Double, isMinimum: Bool, value: @Sendable (Drift) -> Double)]

  public init(maximumKLD: Double? = nil, minimumTop1: Double? = nil, maximumPerplexityRatio: Double? = nil) {
    var limits: [(String, Double, Bool, @Sendable (Drift) -> Double)] = []
    if let maximumKLD { limits.append(("max-kld", maximumKLD, false, { $0.meanDivergence })) }
    if let minimumTop1 { limits.append(("min-top1", minimumTop1, true, { $0.topOneAgreement })) }
    if let maximumPerplexityRatio {
      limits.append(
        (
          "max-ppl-ratio", maximumPerplexityRatio, false, { $0.quantized.perplexity / $0.reference.perplexity }
        ))
    }
    self.limits = limits
  }

  /// What a gate said.
  public struct Result: Sendable {
    public var name: String
    public var limit: Double
    public var value: Double
    public var passed: Bool

    package init(name: String, limit: Double, value: Double, passed: Bool) {
      (self.name, self.limit, self.value, self.passed) = (name, limit, value, passed)
    }
  }

  func results(for drift: Drift) -> [Result] {
    limits.map { gate in
      let value = gate.value(drift)
      return Result(
        name: gate.name, limit: gate.limit, value: value,
        // A value that is not a number passes no gate.
        passed: gate.isMinimum ? value >= gate.limit : value <= gate.limit)
    }
  }
}

/// The run finished and a gate said no.
public struct GateFailure: Error, Sendable, CustomStringConvertible {
  public var failed: [Gates.Result]

  public var description: String {
    failed.map { "gate \($0.name) failed: \(decimals($0.value, 6)) where the limit is \(decimals($0.limit, 6))" }
      .joined(separator: "; ")
  }
}

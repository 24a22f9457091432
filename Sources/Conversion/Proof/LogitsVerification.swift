import Bytes
import Models
import Tensors

/// The drift of quantized models from predictions that were kept in a file.
public struct LogitsVerification {
  private let candidates: [ModelInput]
  private let logits: LogitsFileReader
  private let text: TextFile?
  private let options: WalkOptions
  private let gates: Gates
  private let hashes: Bool

  /// - Parameters:
  ///   - path: of a file that `quern perplexity --save-logits` or `llama-perplexity --kl-divergence-base` wrote.
  ///   - text: what the predictions are of, for a check of the models' tokenizers; the file has the tokens.
  ///   - options: the context is the file's, whatever they say.
  ///   - hashes: whether the models' files are hashed.
  public init(
    candidates: [ModelInput], logits path: String, text: TextFile?, options: WalkOptions, gates: Gates = Gates(),
    hashes: Bool = false
  ) throws {
    precondition(!candidates.isEmpty, "no model to verify")
    logits = try LogitsFileReader(opening: path)
    var options = options
    options.context = logits.header.context
    (self.candidates, self.text, self.options, self.gates) = (candidates, text, options, gates)
    self.hashes = hashes
  }

  /// - Throws: `SHAPE` when the vocabularies, or the tokens of the text, differ.
  public func run(progress: ProgressHandler? = nil) throws -> DriftReport {
    let rows = try candidates.map { try row($0, progress) }
    let chunks = logits.text(bos: nil, limit: options.chunks)
    let source = text?.path ?? logits.path
    return DriftReport(
      reference: DriftReport.Reference(
        name: ProofFacts.name(logits.path), path: logits.path, format: "file of logits",
        fileBytes: logits.header.fileSize,
        bitsPerWeight: 16),
      candidates: rows,
      text: DriftReport.TextFacts(
        path: source, name: ProofFacts.name(source), sha256: text.map { ProofFacts.sha256($0.bytes) } ?? "",
        chunks: chunks.count, context: chunks.context, tokensScored: chunks.scoredCount),
      arithmetic: "\(options.arithmetic)", version: Version.current,
      notes: [
        "the reference's predictions were read from \(ProofFacts.name(logits.path)), which keeps 16 bits of each and "
          + "nothing below e^-16 of the likeliest; --against measures without that loss"
      ])
  }

  private func row(_ candidate: ModelInput, _ progress: ProgressHandler?) throws -> DriftReport.Candidate {
    let tokenizer = candidate.tokenizer
    let chunks = logits.text(bos: tokenizer.addsBOS ? tokenizer.bosID : nil, limit: options.chunks)
    if let text { try checkTokens(of: candidate, chunks, text) }
    let plan = try options.plan([candidate], chunks)
    let pass = try ForwardPass(
      candidate.model, jobs: options.jobs, arithmetic: options.arithmetic, residentOutput: plan.residentOutput)
    let drift = try options.evaluation(chunks, plan, "walking the model", progress).drift(of: pass, from: logits)
    return try ProofFacts.row(candidate, drift, gates: gates, hashes: hashes)
  }

  private func checkTokens(of candidate: ModelInput, _ chunks: TextChunks, _ text: TextFile) throws {
    let other = try options.chunks(of: text, for: candidate)
    for chunk in 0..<chunks.count where chunk >= other.count || other.input(chunk) != chunks.input(chunk) {
      throw InputError(
        .shape, "its tokens of \(text.path) differ from those in \(logits.path) in chunk \(chunk)",
        file: candidate.path, subject: "tokenizer",
        remedy: "give the text that the logits are of, and a model with their tokenizer")
    }
  }
}

import Bytes
import Models
import Tensors

/// The drift of a quantized model from predictions that were kept in a file.
public struct LogitsVerification {
  private let candidate: ModelInput
  private let logits: LogitsFileReader
  private let text: TextFile?
  private let options: WalkOptions
  private let gates: Gates

  /// - Parameters:
  ///   - path: of a file that `quern perplexity --save-logits` or `llama-perplexity --kl-divergence-base` wrote.
  ///   - text: what the predictions are of, for a check of the model's tokenizer; the file has the tokens.
  ///   - options: the context is the file's, whatever they say.
  public init(
    candidate: ModelInput, logits path: String, text: TextFile?, options: WalkOptions, gates: Gates = Gates()
  ) throws {
    logits = try LogitsFileReader(opening: path)
    var options = options
    options.context = logits.header.context
    (self.candidate, self.text, self.options, self.gates) = (candidate, text, options, gates)
  }

  /// - Throws: `SHAPE` when the vocabularies, or the tokens of the text, differ.
  public func run(progress: ProgressHandler? = nil) throws -> DriftReport {
    let tokenizer = candidate.tokenizer
    let chunks = logits.text(bos: tokenizer.addsBOS ? tokenizer.bosID : nil, limit: options.chunks)
    if let text { try checkTokens(chunks, text) }
    let pass = try ForwardPass(candidate.model, jobs: options.jobs)
    let drift = try options.evaluation(chunks, "walking the model", progress).drift(of: pass, from: logits)
    var report = DriftReport(
      drift: drift, layers: [], tensors: [], chunks: chunks.count, context: chunks.context,
      fileBytes: candidate.fileBytes, bitsPerWeight: candidate.bitsPerWeight, gates: gates.results(for: drift))
    report.notes = [
      "the reference's predictions were read from \(logits.path), which keeps 16 bits of each and nothing below "
        + "e^-16 of the likeliest; --against measures without that loss"
    ]
    return report
  }

  private func checkTokens(_ chunks: TextChunks, _ text: TextFile) throws {
    let other = try options.chunks(of: text, for: candidate)
    for chunk in 0..<chunks.count where chunk >= other.count || other.input(chunk) != chunks.input(chunk) {
      throw InputError(
        .shape, "its tokens of \(text.path) differ from those in \(logits.path) in chunk \(chunk)",
        file: candidate.path, subject: "tokenizer",
        remedy: "give the text that the logits are of, and a model with their tokenizer")
    }
  }
}

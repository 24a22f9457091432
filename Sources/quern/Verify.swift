import ArgumentParser
import Bytes
import Conversion

struct Verify: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure how far a quantized model drifted from its source.",
    discussion: """
      Both models are walked side by side, a layer at a time, over the same chunks of text. Printed are both \
      perplexities, the mean KL divergence of the quantized model's predictions from the reference's full-precision ones, \
      and how often both put the same token first.

      EXAMPLES
        quern verify model-q4km.gguf --against ./Llama-3.2-1B --text wiki.txt
        quern verify model-q4km.gguf --against model-f16.gguf --text wiki.txt --max-kld 0.05
        quern verify model-q4km.gguf --against model-f16.gguf --tasks hellaswag.jsonl
        quern verify model-q4km.gguf --logits base.kld
      """)

  @Argument(help: "The quantized model.")
  var model: String

  @Option(help: ArgumentHelp("The model that it was made from.", valueName: "model"))
  var against: String?

  @Option(
    help: ArgumentHelp(
      "Compare with a file of logits instead, of perplexity --save-logits or llama-perplexity; it has its text's tokens.",
      valueName: "file"))
  var logits: String?

  @Option(help: ArgumentHelp("The text to measure on.", valueName: "file"))
  var text: String?

  @OptionGroup var walk: WalkArguments
  @OptionGroup var questions: TaskArguments

  @Option(help: ArgumentHelp("Fail with exit code 3 when the mean KL divergence is above this.", valueName: "nats"))
  var maxKld: Double?

  @Option(help: ArgumentHelp("Fail with exit code 3 when top-1 agreement is below this.", valueName: "fraction"))
  var minTop1: Double?

  @Option(
    help: ArgumentHelp("Fail with exit code 3 when the ratio of perplexities is above this.", valueName: "ratio"))
  var maxPplRatio: Double?

  @OptionGroup(title: "How to read the model that it was made from") var reading: InputOptions
  @OptionGroup var compute: ComputeOptions
  @OptionGroup var shared: SharedOptions

  func validate() throws {
    if (against == nil) == (logits == nil) { throw ValidationError("Give either --against or --logits.") }
    if logits == nil, text == nil, questions.tasks == nil {
      throw ValidationError("Give --text or --tasks, or both.")
    }
    if logits == nil, text == nil, maxKld != nil || minTop1 != nil || maxPplRatio != nil {
      throw ValidationError("A gate on drift needs --text.")
    }
    try questions.validate(hasReference: against != nil)
  }

  func run() throws {
    let console = shared.console
    let tasks = try questions.tasks.map { try TaskFile(reading: $0) }
    let candidate = try ModelInput(opening: model)
    let reference = try against.map { try reading.open($0, console, jobs: compute.threads) }
    let questioning: TaskRun? =
      if let tasks, let reference {
        try TaskRun(candidate: candidate, reference: reference, tasks: tasks, options: walk.options(compute))
      } else { nil }
    let report = try drift(of: candidate, from: reference, console)
    let results = try questioning?.run(progress: console.progress())
    try results.map(questions.write)
    if shared.json {
      print(JSONText.merged([report?.json, results.map { .object([("tasks", $0.json)]) }]).text(indented: true))
    } else {
      print([report?.text, results?.text].compactMap(\.self).joined(separator: "\n\n"))
    }
    if let failed = report?.failure { throw failed }
  }

  /// `nil` when there is no text to measure on.
  private func drift(of candidate: ModelInput, from reference: ModelInput?, _ console: Console) throws -> DriftReport? {
    let gates = Gates(maximumKLD: maxKld, minimumTop1: minTop1, maximumPerplexityRatio: maxPplRatio)
    let text = try text.map { try TextFile(reading: $0) }
    if let logits {
      return try LogitsVerification(
        candidate: candidate, logits: logits, text: text, options: walk.options(compute), gates: gates
      ).run(progress: console.progress())
    }
    guard let text, let reference else { return nil }
    return try Verification(
      candidate: candidate, reference: reference, text: text, options: walk.options(compute), gates: gates
    ).run(progress: console.progress())
  }
}

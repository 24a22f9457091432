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
        quern verify q8.gguf q4.gguf q2.gguf --against model-f16.gguf --text wiki.txt --html report.html
      """)

  @Argument(help: ArgumentHelp("The quantized models.", valueName: "model"))
  var models: [String]

  @Option(help: ArgumentHelp("The model that it was made from.", valueName: "model"))
  var against: String

  @OptionGroup var walk: WalkArguments

  @Option(help: ArgumentHelp("Fail with exit code 3 when the mean KL divergence is above this.", valueName: "nats"))
  var maxKld: Double?

  @Option(help: ArgumentHelp("Fail with exit code 3 when top-1 agreement is below this.", valueName: "fraction"))
  var minTop1: Double?

  @Option(
    help: ArgumentHelp("Fail with exit code 3 when the ratio of perplexities is above this.", valueName: "ratio"))
  var maxPplRatio: Double?

  @OptionGroup var output: ReportOptions
  @OptionGroup(title: "How to read the model that it was made from") var reading: InputOptions
  @OptionGroup var compute: ComputeOptions
  @OptionGroup var shared: SharedOptions

  func run() throws {
    let console = shared.console
    let gates = Gates(maximumKLD: maxKld, minimumTop1: minTop1, maximumPerplexityRatio: maxPplRatio)
    let files = try output.files(sparing: models + [against, walk.text])
    let report = try Verification(
      candidates: models.map { try ModelInput(opening: $0) },
      reference: reading.open(against, console, jobs: compute.threads),
      text: TextFile(reading: walk.text), options: walk.options(compute), gates: gates,
      hashes: files.areAsked
    ).run(progress: console.progress())
    try files.write(report)
    print(shared.json ? report.json.text(indented: true) : report.summary)
    if let failed = report.failure { throw failed }
  }
}

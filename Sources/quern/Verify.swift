import ArgumentParser
import Bytes
import Conversion

struct Verify: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure how far quantized models drifted from their source.",
    discussion: """
      All models are walked side by side, a layer at a time, over the same chunks of text; the reference once. Printed are \
      the perplexities, the mean KL divergence of each model's predictions from the reference's full-precision ones, how \
      often both put the same token first, and what every layer adds to the error.

      EXAMPLES
        quern verify model-q4km.gguf --against ./Llama-3.2-1B --text wiki.txt
        quern verify model-q4km.gguf --against model-f16.gguf --text wiki.txt --max-kld 0.05
        quern verify q8.gguf q4.gguf q2.gguf --against model-f16.gguf --text wiki.txt --html report.html
        quern verify model-q4km.gguf model-q6k.gguf --against model-f16.gguf --text wiki.txt --gates gates.yaml
      """)

  @Argument(help: ArgumentHelp("The quantized models.", valueName: "model"))
  var models: [String]

  @Option(help: ArgumentHelp("The model that they were made from.", valueName: "model"))
  var against: String

  @OptionGroup var walk: WalkArguments
  @OptionGroup var proof: ProofOptions
  @OptionGroup(title: "Gates: exit code 3 when one fails") var gates: GateOptions
  @OptionGroup var output: ReportOptions
  @OptionGroup(title: "How to read the model that they were made from") var reading: InputOptions
  @OptionGroup var compute: ComputeOptions
  @OptionGroup var shared: SharedOptions

  func run() throws {
    let console = shared.console
    let files = try output.files(sparing: models + [against, walk.text])
    let report = try Verification(
      candidates: models.map { try ModelInput(opening: $0) },
      reference: reading.open(against, console, jobs: compute.threads),
      text: TextFile(reading: walk.text), options: walk.options(compute, console), gates: gates.limits(),
      extras: proof.extras(hashes: files.areAsked)
    ).run(progress: console.progress())
    try files.write(report)
    print(shared.json ? report.json.text(indented: true) : report.summary)
    if let failed = report.failure { throw failed }
  }
}

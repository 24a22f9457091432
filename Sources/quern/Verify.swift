import ArgumentParser
import Bytes
import Conversion

struct Verify: WatchedCommand {
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
        quern verify model-q4km.gguf --against model-f16.gguf --tasks hellaswag.jsonl
        quern verify model-q4km.gguf --logits base.kld
      """)

  @Argument(help: ArgumentHelp("The quantized models.", valueName: "model"))
  var models: [String]

  @Option(help: ArgumentHelp("The model that they were made from.", valueName: "model"))
  var against: String?

  @Option(
    help: ArgumentHelp(
      "Compare with a file of logits instead, of perplexity --save-logits or llama-perplexity; it has its text's tokens.",
      valueName: "file"))
  var logits: String?

  @Option(help: ArgumentHelp("The text to measure on.", valueName: "file"))
  var text: String?

  @OptionGroup var walk: WalkArguments
  @OptionGroup var arithmetic: ArithmeticOption
  @OptionGroup var proof: ProofOptions
  @OptionGroup(title: "Gates: exit code 3 when one fails") var gates: GateOptions
  @OptionGroup var output: ReportOptions
  @OptionGroup var questions: TaskArguments
  @Flag(help: "Start again where an earlier walk was interrupted, instead of going on from MODEL.verify.resume.")
  var noResume = false

  @Option(
    help: ArgumentHelp(
      "Save how far the walk is to MODEL.verify.resume, beside the first model, when a layer ends and so many seconds have "
        + "passed since the last time; and when the process is asked to end.", valueName: "seconds"))
  var saveEvery = 300

  @OptionGroup(title: "How to read the model that they were made from") var reading: InputOptions
  @OptionGroup var compute: ComputeOptions
  @OptionGroup var shared: SharedOptions

  func validate() throws {
    if (against == nil) == (logits == nil) { throw ValidationError("Give either --against or --logits.") }
    if logits == nil, text == nil, questions.tasks == nil {
      throw ValidationError("Give --text or --tasks, or both.")
    }
    if logits == nil, text == nil {
      if gates.areStated { throw ValidationError("A gate on drift needs --text.") }
      if proof.attribute { throw ValidationError("--attribute needs --text.") }
      if output.isAsked { throw ValidationError("A report of drift needs --text.") }
    }
    if !(0...86_400).contains(saveEvery) { throw ValidationError("--save-every takes a number from 0 to 86400.") }
    if proof.failFast, !gates.areStated || logits != nil {
      throw ValidationError("--fail-fast needs a gate and --against.")
    }
    if arithmetic.floorChunks != nil, text == nil || logits != nil {
      throw ValidationError("--floor-chunks needs --against and --text.")
    }
    if logits != nil, proof.attribute { throw ValidationError("--attribute needs the model that --against names.") }
    if output.force, !output.isAsked, questions.tasksResults == nil {
      throw ValidationError("--force goes with --html, --markdown or --tasks-results.")
    }
    try questions.validate(hasReference: against != nil, models: models.count)
  }

  func run() throws {
    let console = shared.console
    let gates = try gates.limits()
    if logits != nil {
      for kind in [Gates.Kind.maximumLayerError, .maximumDifferences] where gates[kind] != nil {
        throw ValidationError("--\(kind.rawValue) needs --against: a file of logits has neither layers nor parameters.")
      }
    }
    let files = try output.files(
      tasks: questions.tasksResults,
      sparing: models + [against, logits, text, questions.tasks, self.gates.gates].compactMap(\.self))
    let tasks = try questions.tasks.map { try TaskFile(reading: $0) }
    let candidates = try models.map { try ModelInput(opening: $0) }
    let reference = try against.map { try reading.open($0, console, jobs: compute.threads) }
    let options = walk.options(compute, console, arithmetic.chosen(console))
    let questioning: TaskRun? =
      if let tasks, let reference {
        try TaskRun(candidates: candidates, reference: reference, tasks: tasks, options: options)
      } else { nil }
    let report = try drift(of: candidates, from: reference, options, gates, hashes: files.areAsked, console)
    if let report { try files.write(report) }
    let results = try questioning?.run(progress: console.progress()) ?? []
    if results.count == 1 { try files.write(results[0]) }
    if shared.json {
      let tasks = results.count == 1 ? results[0].json : .array(results.map(\.json))
      print(JSONText.merged([report?.json, results.isEmpty ? nil : .object([("tasks", tasks)])]).text(indented: true))
    } else {
      let tables = results.map { results.count == 1 ? $0.text : "\(printable($0.candidate))\n\($0.text)" }
      print(([report?.summary].compactMap(\.self) + tables).joined(separator: "\n\n"))
    }
    if let failed = report?.failure { throw failed }
  }

  /// `nil` when there is no text to measure on.
  private func drift(
    of candidates: [ModelInput], from reference: ModelInput?, _ options: WalkOptions, _ gates: Gates, hashes: Bool,
    _ console: Console
  ) throws -> DriftReport? {
    let text = try text.map { try TextFile(reading: $0) }
    if let logits {
      return try LogitsVerification(
        candidates: candidates, logits: logits, text: text, options: options, gates: gates, hashes: hashes
      ).run(progress: console.progress())
    }
    guard let text, let reference else { return nil }
    let verification = Verification(
      candidates: candidates, reference: reference, text: text, options: options, gates: gates,
      extras: proof.extras(hashes: hashes, arithmetic))
    let name = models[0].hasSuffix("/") ? String(models[0].dropLast()) : models[0]
    let state = try RunState(beside: name + ".verify", identity: verification.identity(), resumes: !noResume)
    Interruption.listen()
    let report = try verification.run(
      state: state, saveInterval: .seconds(saveEvery), progress: console.progress())
    try state.remove()
    Interruption.stopListening()
    return report
  }
}

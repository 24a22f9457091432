import ArgumentParser
import Bytes
import Conversion
import Quantization

struct Convert: WatchedCommand {
  static let configuration = CommandConfiguration(
    abstract: "Convert a model to GGUF, quantizing on the way.",
    discussion: """
      Reads a Hugging Face folder, Meta's own download, files of safetensors or PyTorch or a GGUF, and writes a GGUF \
      that llama.cpp and Ollama load. \
      Tensors are read, mapped, quantized and written piece by piece: memory does not grow with the model, and the output \
      is the same at any --jobs. It takes its name only when it is complete; what stood there before stands until then.
      Several types are made from one reading of the input, each in a file of its own and the same as if made alone. With \
      --split-max-size or --split-max-tensors a large output is a set of files as llama-gguf-split writes them.

      EXAMPLES
        quern convert ./Llama-3.2-1B --type Q4_K_M -o llama-q4km.gguf
        quern convert ./Llama-3.2-1B --type Q4_K_M -o llama-q4km.gguf --verify wiki.txt
        quern convert ./Meta-Llama-3-8B --verify-input -t Q4_K_M -o llama3.gguf
        quern convert ./Llama-3.2-1B --type Q4_K_M,Q5_K_M,Q8_0 -o 'out/{name}-{type}.gguf'
        quern convert ./Llama-3.1-70B --type Q8_0 --split-max-size 40G -o llama-q8.gguf
        quern convert model-f16.gguf --type Q5_K_S --tensor-type 'attn_v=Q8_0' -o model-q5.gguf
        quern convert ./Llama-3.2-1B --type Q4_K_M -o llama-q4km.gguf --dry-run
        quern convert ./Llama-3.2-1B -t Q4_K_M --allocate --calibration mix.txt --save-recipe r.yaml -o llama.gguf
        quern convert ./Llama-3.2-1B --recipe r.yaml -o llama.gguf

      TYPES
      \(RecipeOptions.typeTable)
      """)

  @OptionGroup var conversion: ConversionOptions

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "The GGUF to write; {name} and {type} in it stand for the model's name and the type. Of a set, what the names begin with.",
      valueName: "file"))
  var output: OutputTemplate

  @Option(
    help: ArgumentHelp(
      "Write the type of every tensor to this file, with --dry-run too; --recipe takes it.", valueName: "file"))
  var saveRecipe: OutputTemplate?

  @Option(
    help: ArgumentHelp("After converting, measure the drift against the input on this text.", valueName: "text"))
  var verify: String?

  @Flag(help: "Print what would be written, tensor by tensor, and write nothing.")
  var dryRun = false

  @Flag(help: "Replace the output if it exists.")
  var force = false

  @Flag(
    help: """
      Start a conversion that was interrupted or killed again, instead of going on from its OUTPUT.resume.
      """)
  var noResume = false

  @Option(
    help: ArgumentHelp(
      "Save how far the output is to OUTPUT.resume when so many seconds have passed since the last time.",
      valueName: "seconds"))
  var saveEvery = 1

  @Option(
    help: ArgumentHelp(
      "With gptq, keep the hidden states of the text in OUTPUT.states.resume when a block ends and so many seconds have "
        + "passed since the last time.", valueName: "seconds"))
  var saveStates = 300  // writing gigabytes so often is not felt

  @OptionGroup(title: "What it was made from") var provenance: ProvenanceOptions
  @OptionGroup var compute: ComputeOptions
  @OptionGroup var shared: SharedOptions

  func validate() throws {
    if !(0...86_400).contains(saveStates) { throw ValidationError("--save-states takes a number from 0 to 86400.") }
    if !(0...86_400).contains(saveEvery) { throw ValidationError("--save-every takes a number from 0 to 86400.") }
    let types = conversion.recipe.types.count
    try output.validate(types: types, flag: "--output")
    try saveRecipe?.validate(types: types, flag: "--save-recipe")
    if types > 1, conversion.calibrating.looksAtTypes {
      throw ValidationError(
        "--method gptq, --awq and --allocate take one --type: what they find for one is not right for another.")
    }
  }

  func run() throws {
    let console = shared.console
    let began = ContinuousClock.now
    let input = try conversion.reading.open(conversion.input, console, jobs: compute.threads)
    let recipes = try conversion.recipe.recipes(for: input)
    let text = try verify.map { try TextFile(reading: $0) }
    var job = try ConversionJob(self, input, recipes, console)
    try job.open()
    let companions = try dryRun ? nil : provenance.companions(of: job.outputs, overwrites: force)
    if !dryRun { Interruption.listen() }
    try job.prepare()
    guard !dryRun else {
      try job.publishRecipes()
      return print(job.outputs)
    }
    let results = try job.convert()
    // Last, so that the same command is not refused for their sake when the conversion is interrupted.
    try job.publishRecipes()
    Interruption.stopListening()
    let made = zip(job.outputs, results).compactMap { output, result in
      (try? result.get()).map {
        ConversionReport.Output(
          asked: output.path, recipe: output.recipe, plan: output.plan, written: $0,
          attestation: output.target?.attestation)
      }
    }
    for output in made {
      for file in output.written.files { console.published(file.path, sha256: file.sha256) }
      for line in output.notes { console.say(line) }
    }
    let seconds = Machine.seconds(since: began)

    let drift = try text.flatMap { text in
      try made.isEmpty
        ? nil
        : Verification(
          candidates: made.map { try ModelInput(opening: $0.path) }, reference: input, text: text,
          options: WalkOptions(jobs: compute.threads, memory: compute.memory.bytes)
        ).run(progress: console.progress())
    }
    for output in made {
      if let companions { try provenance.write(companions, for: output, of: input.name, job, drift: drift) }
    }
    let report = ConversionReport(
      outputs: made, isOfSeveral: results.count > 1, seconds: seconds, isCalibrated: job.isCalibrated, drift: drift)
    if !made.isEmpty { Swift.print(shared.json ? report.json.text(indented: true) : report.text) }
    try complain(results)
  }

  /// Says what failed; the first failure is thrown.
  private func complain(_ results: [Result<Converter.Written, any Error>]) throws {
    let failures = results.compactMap { result in
      if case .failure(let error) = result { error } else { nil }
    }
    for error in failures.dropFirst() { CurrentRun.console.complain("quern: \(error)") }
    if let first = failures.first { throw first }
  }

  private func print(_ outputs: [ConversionJob.Output]) {
    guard !shared.json else {
      let plans = outputs.map { $0.plan.json(output: $0.path) }
      Swift.print((plans.count == 1 ? plans[0] : .object([("outputs", .array(plans))])).text(indented: true))
      return
    }
    Swift.print(outputs.map { $0.plan.text(output: $0.path) }.joined(separator: "\n\n"))
  }
}

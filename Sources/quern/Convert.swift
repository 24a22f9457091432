import ArgumentParser
import Bytes
import Conversion
import Quantization

struct Convert: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Convert a model to GGUF, quantizing on the way.",
    discussion: """
      Reads a Hugging Face folder, Meta's own download, files of safetensors or PyTorch or a GGUF, and writes one GGUF \
      that llama.cpp and Ollama load. \
      Tensors are read, mapped, quantized and written piece by piece: memory does not grow with the model, and the output \
      is the same at any --jobs. It takes its name only when it is complete; what stood there before stands until then.

      EXAMPLES
        quern convert ./Llama-3.2-1B --type Q4_K_M -o llama-q4km.gguf
        quern convert ./Llama-3.2-1B --type Q4_K_M -o llama-q4km.gguf --verify wiki.txt
        quern convert ./Meta-Llama-3-8B --verify-input -t Q4_K_M -o llama3.gguf
        quern convert model-f16.gguf --type Q5_K_S --tensor-type 'attn_v=Q8_0' -o model-q5.gguf
        quern convert ./Llama-3.2-1B --type Q4_K_M -o llama-q4km.gguf --dry-run
        quern convert ./Llama-3.2-1B -t Q4_K_M --allocate --calibration mix.txt --save-recipe r.yaml -o llama.gguf
        quern convert ./Llama-3.2-1B --recipe r.yaml -o llama.gguf

      TYPES
      \(RecipeOptions.typeTable)
      """)

  @Argument(help: "A model folder, a file of weights or an index, or a GGUF.")
  var input: String

  @Option(name: .shortAndLong, help: ArgumentHelp("The GGUF to write.", valueName: "file"))
  var output: String

  @OptionGroup var recipe: RecipeOptions
  @OptionGroup(title: "How to lose less at the same size") var calibrating: CalibrationOptions
  @OptionGroup var reading: InputOptions

  @Option(
    help: ArgumentHelp("Weigh errors by this importance matrix, a GGUF or .dat of llama-imatrix.", valueName: "file"))
  var imatrix: String?

  @Option(
    name: .customLong("override-kv"),
    help: ArgumentHelp("Set a metadata key; TYPE is int, float, bool or str. Repeatable.", valueName: "key=type:value"))
  var overrides: [MetadataOverride] = []

  @Option(
    help: ArgumentHelp(
      "Write the type of every tensor to this file, with --dry-run too; --recipe takes it.", valueName: "file"))
  var saveRecipe: String?

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

  @OptionGroup var compute: ComputeOptions
  @OptionGroup var shared: SharedOptions

  func validate() throws {
    if !(0...86_400).contains(saveStates) { throw ValidationError("--save-states takes a number from 0 to 86400.") }
    if !(0...86_400).contains(saveEvery) { throw ValidationError("--save-every takes a number from 0 to 86400.") }
    if recipe.recipe != nil, calibrating.allocates {
      throw ValidationError("--recipe chooses every type: leave --allocate and the flags that imply it out.")
    }
  }

  func run() throws {
    let console = shared.console
    let began = ContinuousClock.now
    let input = try reading.open(input, console, jobs: compute.threads)
    let recipe = try recipe.recipe(for: input)
    let text = try verify.map { try TextFile(reading: $0) }
    // Whether they may be written is known before what may take hours.
    let file = dryRun ? nil : try OutputFile(output, overwrites: force, resumes: !noResume)
    if !dryRun { Interruption.listen() }
    let recipeFile = try saveRecipe.map { try OutputFile($0, overwrites: force) }
    let job = try prepare(input, recipe, file, console)
    let plan = job.plan
    if let recipeFile {
      let text = Array(plan.recipeText(recipe.fileType).utf8)
      try unsafe recipeFile.write(text.span.bytes, at: 0)
    }
    guard let file else {
      try recipeFile?.publish()
      return print(plan)
    }

    let converter = Converter(plan: plan, jobs: compute.threads, rounding: job.rounding, memory: compute.memory.bytes)
    let result = try converter.run(
      into: file, checking: job.input, state: job.state, saveInterval: .seconds(saveEvery),
      hiddenStates: job.hiddenStates, progress: console.progress())
    // Last, so that the same command is not refused for its sake when the conversion is interrupted.
    try recipeFile?.publish()
    Interruption.stopListening()
    let seconds = Machine.seconds(since: began)
    if result.resumedBytes > 0 {
      console.say("\(megabytes(result.resumedBytes)) of \(megabytes(result.fileBytes)) were there already")
    }
    for fallback in result.fallbacks { console.say(fallback.line) }

    let report = try text.map { text in
      try Verification(
        candidates: [ModelInput(opening: output)], reference: input, text: text,
        options: WalkOptions(jobs: compute.threads, memory: compute.memory.bytes)
      ).run(progress: console.progress())
    }

    if shared.json {
      Swift.print(
        JSONText.object(
          [
            ("output", .string(output)), ("file_bytes", .int(result.fileBytes)),
            ("bits_per_weight", .double(plan.bitsPerWeight)), ("tensors", .int(plan.entries.count)),
            ("seconds", .double(seconds)), ("bytes_read", .int(result.bytesRead)),
            ("bytes_written", .int(result.fileBytes - result.resumedBytes)),
            ("resumed_bytes", .int(result.resumedBytes)), ("peak_rss_bytes", .int(Machine.peakResidentBytes)),
            ("sha256", .string(result.sha256)),
          ] + (!job.isCalibrated ? [] : [("without_feedback", .array(result.fallbacks.map(\.json)))])
            + (report.map { [("verify", $0.json)] } ?? [])
        ).text(indented: true))
    } else {
      Swift.print(
        """
        \(output): \(megabytes(result.fileBytes)), \(decimals(plan.bitsPerWeight, 2)) bits a weight, \
        \(plan.entries.count) tensors, \(decimals(seconds, 1)) s
        sha256 \(result.sha256)
        """)
      if let report { Swift.print("\n" + report.summary) }
    }
  }

  /// What is to be converted, and how.
  private struct Job {
    /// The model, its channels scaled if that was asked for.
    var input: ModelInput
    var plan: ConversionPlan
    var rounding: Converter.Rounding
    var state: RunState?
    var hiddenStates: FeedbackCheckpoints?
    var isCalibrated = false
  }

  /// - Parameter file: the output, which is given its size; `nil` when nothing is to be written.
  private func prepare(
    _ input: ModelInput, _ recipe: Recipe, _ file: OutputFile?, _ console: Console
  ) throws -> Job {
    func plan(_ input: ModelInput, _ importance: ImportanceMatrix?) throws -> ConversionPlan {
      try ConversionPlan(
        input, recipe: recipe, importance: importance, overriding: overrides.map { ($0.key, $0.value) })
    }
    let importance = try imatrix.map { try ImportanceMatrix(reading: $0) }
    let calibration = try calibrating.text(for: input)
    let hessians = try calibrating.hessian.map { try HessianFolder(reading: $0) }
    try hessians?.check(against: input)
    var job = Job(
      input: input, plan: try plan(input, importance),
      rounding: calibrating.rounding(importance: importance, text: calibration, hessians: hessians))
    job.isCalibrated = calibration != nil || hessians != nil
    let size = calibrating.targetBytes(job.plan)
    try Converter(plan: job.plan, jobs: compute.threads, memory: compute.memory.bytes).checkMemory()
    if let file {
      let identity = RunState.identity(
        converting: input, job.plan, text: calibration, importance: importance, hessians: hessians,
        options: calibrating.summary(job.rounding, targetBytes: size))
      let state = try RunState(converting: identity, into: file, resumes: !noResume)
      job.state = state
      job.hiddenStates = try FeedbackCheckpoints(
        beside: output, identity: identity, interval: .seconds(saveStates), resumes: !noResume)
      // Blocks rounded with feedback are kept beside the output until it is whole.
      let bytes = size ?? job.plan.fileBytes
      let kept = calibrating.usesFeedback ? job.plan.feedbackBytes * bytes / job.plan.fileBytes : 0
      try file.reserve(bytes, others: max(0, kept - state.fileBytes))
    }
    guard let calibration else { return job }

    if calibrating.awq {
      let found = try ScalingRun(
        input, job.plan, rounding: job.rounding, text: calibration, jobs: compute.threads
      ).run(progress: console.progress())
      console.say(
        "channels scaled in \(found.scaled) of \(found.places) places: the error of what layers put out is "
          + "\(decimals(found.error, 3)) of what it was")
      job.input = found.input
      job.rounding.importance = found.importance
      job.plan = try plan(found.input, found.importance)
    }
    if let known = try job.state.flatMap({ try job.plan.withTypes(of: $0) }) {
      job.plan = known
    } else if let size {
      job.plan = try allocate(size, job, calibration, console)
      if let state = job.state { try job.plan.saveTypes(in: state) }
    }
    return job
  }

  /// The plan of `job` with the types that lose least within `size` bytes.
  private func allocate(
    _ size: Int, _ job: Job, _ text: CalibrationText, _ console: Console
  ) throws -> ConversionPlan {
    let scratch = try ScratchFile(beside: output)
    let result = try TypeAllocation(
      job.plan, of: job.input, rounding: job.rounding, text: text, jobs: compute.threads,
      stateBytes: compute.memory.bytes / 2
    ).solve(
      fileBytes: size, scratch: scratch, known: job.state?.sensitivities() ?? [], progress: console.progress()
    ) { try job.state?.append($0) }
    console.say(
      "types chosen for \(megabytes(result.plan.fileBytes)): the tensors alone would cost \(decimals(result.after, 6)) nats, "
        + "\(decimals(result.before, 6)) as --type has them; \(result.plan.typeSummary)")
    let recipe = result.measured.recipe.map { ", \(decimals($0, 6)) with those of --type" } ?? ""
    console.say(
      "rounded plainly, the model diverges by \(decimals(result.measured.chosen, 6)) nats with them\(recipe)"
        + (result.keepsRecipe ? "; the types of --type stay" : ""))
    return result.plan
  }

  private func print(_ plan: ConversionPlan) {
    guard !shared.json else {
      Swift.print(plan.json(output: output).text(indented: true))
      return
    }
    var table = TextTable(columns: ["tensor", "from", "to", "shape", "bytes", "offset", ""])
    for entry in plan.entries {
      table.add([
        printable(entry.source.name), entry.source.dtype.name, entry.type.name, entry.source.shape.description,
        "\(entry.byteCount)", "\(entry.offset)", entry.note ?? "",
      ])
    }
    Swift.print(table.text)
    Swift.print(
      "\(output) would have \(megabytes(plan.fileBytes)), \(decimals(plan.bitsPerWeight, 2)) bits a weight; nothing was written"
    )
  }
}

/// `KEY=TYPE:VALUE`.
struct MetadataOverride: ExpressibleByArgument {
  var key: String
  var value: MetadataOverrideValue

  init?(argument: String) {
    guard let equals = argument.firstIndex(of: "="), let colon = argument[equals...].firstIndex(of: ":") else {
      return nil
    }
    key = String(argument[..<equals])
    let type = argument[argument.index(after: equals)..<colon]
    let text = String(argument[argument.index(after: colon)...])
    guard !key.isEmpty, let value = MetadataOverrideValue(type: String(type), text: text) else { return nil }
    self.value = value
  }
}

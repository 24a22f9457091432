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
    help: ArgumentHelp("After converting, measure the drift against the input on this text.", valueName: "text"))
  var verify: String?

  @Flag(help: "Print what would be written, tensor by tensor, and write nothing.")
  var dryRun = false

  @Flag(help: "Replace the output if it exists.")
  var force = false

  @OptionGroup var compute: ComputeOptions
  @OptionGroup var shared: SharedOptions

  func run() throws {
    let console = shared.console
    let began = ContinuousClock.now
    let input = try reading.open(input, console, jobs: compute.threads)
    let importance = try imatrix.map { try ImportanceMatrix(reading: $0) }
    var plan = try ConversionPlan(
      input, recipe: recipe.recipe(for: input), importance: importance,
      overriding: overrides.map { ($0.key, $0.value) })
    let calibration = try calibrating.text(for: input)
    let rounding = calibrating.rounding(importance: importance, text: calibration)
    let text = try verify.map { try TextFile(reading: $0) }
    if let calibration, let size = calibrating.targetBytes(plan) {
      plan = try allocate(size, plan, input, rounding, calibration, console)
    }
    guard !dryRun else { return print(plan) }

    let file = try OutputFile(output, overwrites: force)
    let converter = Converter(plan: plan, jobs: compute.threads, rounding: rounding)
    let result = try converter.run(into: file, checking: input, progress: console.progress())
    let seconds = Machine.seconds(since: began)
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
            ("bytes_written", .int(result.fileBytes)), ("peak_rss_bytes", .int(Machine.peakResidentBytes)),
            ("sha256", .string(result.sha256)),
          ] + (calibration == nil ? [] : [("without_feedback", .array(result.fallbacks.map(\.json)))])
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

  /// `plan` with the types that lose least within `size` bytes.
  private func allocate(
    _ size: Int, _ plan: ConversionPlan, _ input: ModelInput, _ rounding: Converter.Rounding, _ text: CalibrationText,
    _ console: Console
  ) throws -> ConversionPlan {
    let scratch = try OutputFile(output + ".types", overwrites: true)
    defer { scratch.discard() }
    let result = try TypeAllocation(
      plan, of: input, rounding: rounding, text: text, jobs: compute.threads, stateBytes: compute.memory.bytes / 2
    ).solve(fileBytes: size, scratch: scratch, progress: console.progress())
    console.say(
      "types chosen for \(megabytes(result.plan.fileBytes)): the tensors alone would cost \(decimals(result.after, 6)) nats, "
        + "\(decimals(result.before, 6)) as --type has them")
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

import ArgumentParser
import Bytes
import Conversion
import Quantization

struct Calibrate: WatchedCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure which columns of a model's weights matter: an importance matrix, and Hessians.",
    discussion: """
      Passes texts through the model and sums the squares of what every linear layer multiplies, by llama-imatrix's rule: \
      each text is cut into chunks of --ctx tokens, the first token of each is replaced by the model's BOS if it uses one. \
      The file is llama-imatrix's, for --imatrix of quern convert or of llama-quantize. It does not depend on --jobs. \
      Experts that no token chose have importance 1. After a kill the same command goes on from OUTPUT.resume. With \
      --merge or --merge-hessian and no text, what was measured is added and nothing is measured.

      EXAMPLES
        quern calibrate ./Llama-3.2-1B --text wiki.txt -o imatrix.gguf
        quern calibrate model-f16.gguf --text prose.txt --text code.txt --chunks 100 -o imatrix.gguf
        quern convert ./Llama-3.2-1B --type IQ3_M --imatrix imatrix.gguf -o llama-iq3.gguf
        quern calibrate ./Llama-3.2-1B --text wiki.txt -o imatrix.gguf --hessian wiki
        quern calibrate ./Llama-3.2-1B --merge-hessian wiki --merge-hessian code --hessian both
        quern convert ./Llama-3.2-1B --type Q4_K_M --method gptq --hessian both -o llama-q4km.gguf
      """)

  @Argument(help: "A model folder or a GGUF.")
  var model: String

  @Option(help: ArgumentHelp("A text to calibrate on. Repeatable: one after the other.", valueName: "file"))
  var text: [String] = []

  @Option(name: .shortAndLong, help: ArgumentHelp("The importance matrix to write.", valueName: "file"))
  var output: String?

  @Option(
    help: ArgumentHelp(
      "Write the Hessians too, for --hessian of quern convert: the sums of x xᵀ over what every linear layer of a block "
        + "multiplies, a file a block.", valueName: "folder"))
  var hessian: String?

  @Option(
    help: ArgumentHelp(
      "The form of the file: gguf or dat, the older one. (default: told by its name)", valueName: "form"))
  var format: ImportanceMatrix.Form?

  @Option(
    help: ArgumentHelp(
      "Tokens in a chunk. (default: 512; without a text, as the merged files say)", valueName: "tokens"))
  var ctx: Int?

  @Option(help: ArgumentHelp("Chunks to use of each text. (default: all)", valueName: "count"))
  var chunks: Int?

  @Option(
    help: ArgumentHelp(
      "Add the sums and counts of this importance matrix of the same model. Repeatable.", valueName: "file"))
  var merge: [String] = []

  @Option(
    help: ArgumentHelp(
      "Without --text, write the sum of the Hessians in this folder and in others of the same model to that of --hessian. "
        + "Repeatable: they are added in F64 in this order.", valueName: "folder"))
  var mergeHessian: [String] = []

  @Flag(help: "Measure the input of the output matrix too, under the name of the embedding where they are one.")
  var outputTensor = false

  @Flag(help: "Replace the output, and files in the folder of --hessian, if they exist.")
  var force = false

  @Flag(help: "Start again where an earlier run was killed, instead of going on from its OUTPUT.resume.")
  var noResume = false

  @Option(
    help: ArgumentHelp(
      "Save what was done to OUTPUT.resume when a layer ends and so many seconds have passed since the last time.",
      valueName: "seconds"))
  var saveEvery = 60

  @OptionGroup var reading: InputOptions
  @OptionGroup var compute: ComputeOptions
  @OptionGroup var shared: SharedOptions

  func validate() throws {
    if text.isEmpty, merge.isEmpty, mergeHessian.isEmpty {
      throw ValidationError("Give the text to calibrate on with --text.")
    }
    if (output == nil) != (text.isEmpty && merge.isEmpty) {
      throw ValidationError(
        output == nil
          ? "Give the importance matrix to write with --output." : "Without --text or --merge there is no --output.")
    }
    if !text.isEmpty, !mergeHessian.isEmpty {
      throw ValidationError("--merge-hessian adds what was measured: calibrate first, without it.")
    }
    if text.isEmpty, (hessian == nil) != mergeHessian.isEmpty {
      throw ValidationError("Without --text, give both --merge-hessian and --hessian, or neither.")
    }
    if text.isEmpty, chunks != nil || outputTensor {
      throw ValidationError("Without --text nothing is measured: leave --chunks and --output-tensor out.")
    }
    if let ctx, !(16...131_072).contains(ctx) { throw ValidationError("--ctx takes a number from 16 to 131072.") }
    if !(0...86_400).contains(saveEvery) { throw ValidationError("--save-every takes a number from 0 to 86400.") }
    if let chunks, chunks < 1 { throw ValidationError("--chunks takes a number from 1.") }
  }

  func run() throws {
    let console = shared.console
    let began = ContinuousClock.now
    let others = try merge.map { try ImportanceMatrix(reading: $0) }
    let slices = try mergeHessian.map { try HessianFolder(reading: $0) }
    let input = try reading.open(model, console, jobs: compute.threads)
    let texts = try text.map { try TextFile(reading: $0) }
    let ctx = ctx ?? (text.isEmpty ? others.lazy.compactMap(\.chunkSize).first : nil) ?? 512
    var report: [(String, JSONText)] = []
    var lines: [String] = []

    if let output {
      let matrix = try importance(input, texts, others, ctx: ctx, output, console)
      let coverage = ImportanceCoverage(matrix)
      for line in coverage.lines { console.say("note: \(line)") }
      let tokens = matrix.chunkCount * ctx
      report = [
        ("output", .string(output)), ("entries", .int(matrix.entries.count)), ("chunks", .int(matrix.chunkCount)),
        ("tokens", .int(tokens)), ("coverage", coverage.json),
      ]
      lines = [
        "\(output): \(matrix.entries.count) entries from \(matrix.chunkCount) chunks of \(ctx), \(tokens) tokens"
      ]
    }
    if let hessian {
      let folder =
        try slices.isEmpty
        ? HessianFolder(reading: hessian)
        : HessianFolder.merge(slices, into: hessian, for: input, overwrites: force, progress: console.progress())
      report += [
        ("hessian", .string(hessian)), ("hessian_texts", .array(folder.texts.map { .string(printable($0)) })),
      ]
      lines.append("\(hessian): Hessians of \(folder.texts.map { printable($0) }.joined(separator: "; "))")
    }
    let seconds = Machine.seconds(since: began)
    if shared.json {
      print(JSONText.object(report + [("seconds", .double(seconds))]).text(indented: true))
    } else {
      print(lines.joined(separator: "\n") + ", \(decimals(seconds, 1)) s")
    }
  }

  /// Measures the texts, adds the others, and writes the sum to `output`.
  private func importance(
    _ input: ModelInput, _ texts: [TextFile], _ others: [ImportanceMatrix], ctx: Int, _ output: String,
    _ console: Console
  ) throws -> ImportanceMatrix {
    let file = try OutputFile(output, overwrites: force)
    Interruption.listen()
    var matrix = ImportanceMatrix(file: "")
    var state: RunState?
    if !text.isEmpty {
      let run = ImportanceRun(
        model: input, texts: texts,
        options: WalkOptions(
          context: ctx, chunks: chunks, jobs: compute.threads, memory: compute.memory.bytes),
        measuresOutput: outputTensor, hessians: hessian.map { ($0, force) })
      state = try RunState(beside: output, identity: run.identity(), resumes: !noResume)
      matrix = try run.run(
        state: state, saveInterval: .seconds(saveEvery), progress: console.progress())
    }
    for other in others.reversed() { try matrix.merge(other, chunkSize: ctx) }
    try matrix.check(against: input.model.tensors)
    try matrix.write(to: file, as: format ?? (output.hasSuffix(".dat") ? .dat : .gguf), chunkSize: ctx)
    try state?.remove()
    console.published(output)
    Interruption.stopListening()
    return matrix
  }
}

extension ImportanceMatrix.Form: ExpressibleByArgument {}

import ArgumentParser
import Bytes
import Conversion
import Quantization

struct Calibrate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure which columns of a model's weights matter: an importance matrix.",
    discussion: """
      Passes texts through the model and sums the squares of what every linear layer multiplies, by llama-imatrix's rule: \
      each text is cut into chunks of --ctx tokens, the first token of each is replaced by the model's BOS if it uses one. \
      The file is llama-imatrix's, for --imatrix of quern convert or of llama-quantize. It does not depend on --jobs. \
      Experts that no token chose have importance 1. After a kill the same command goes on from OUTPUT.resume. With --merge and no text, matrices are added and nothing is measured.

      EXAMPLES
        quern calibrate ./Llama-3.2-1B --text wiki.txt -o imatrix.gguf
        quern calibrate model-f16.gguf --text prose.txt --text code.txt --chunks 100 -o imatrix.gguf
        quern convert ./Llama-3.2-1B --type IQ3_M --imatrix imatrix.gguf -o llama-iq3.gguf
      """)

  @Argument(help: "A model folder or a GGUF.")
  var model: String

  @Option(help: ArgumentHelp("A text to calibrate on. Repeatable: one after the other.", valueName: "file"))
  var text: [String] = []

  @Option(name: .shortAndLong, help: ArgumentHelp("The importance matrix to write.", valueName: "file"))
  var output: String

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

  @Flag(help: "Measure the input of the output matrix too, under the name of the embedding where they are one.")
  var outputTensor = false

  @Flag(help: "Replace the output if it exists.")
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
    if text.isEmpty, merge.isEmpty { throw ValidationError("Give the text to calibrate on with --text.") }
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
    let input = try reading.open(model, console, jobs: compute.threads)
    let texts = try text.map { try TextFile(reading: $0) }
    let ctx = ctx ?? (text.isEmpty ? others.lazy.compactMap(\.chunkSize).first : nil) ?? 512
    let file = try OutputFile(output, overwrites: force)
    Interruption.listen()
    var matrix = ImportanceMatrix(file: "")
    var state: RunState?
    if !text.isEmpty {
      let run = ImportanceRun(
        model: input, texts: texts,
        options: WalkOptions(
          context: ctx, chunks: chunks, jobs: compute.threads, memory: compute.memory.bytes),
        measuresOutput: outputTensor)
      state = try RunState(beside: output, identity: run.identity(), resumes: !noResume)
      matrix = try run.run(
        state: state, saveInterval: .seconds(saveEvery), progress: console.progress())
    }
    for other in others.reversed() { try matrix.merge(other, chunkSize: ctx) }
    try matrix.check(against: input.model.tensors)
    let coverage = ImportanceCoverage(matrix)
    try matrix.write(to: file, as: format ?? (output.hasSuffix(".dat") ? .dat : .gguf), chunkSize: ctx)
    try state?.remove()
    Interruption.stopListening()
    for line in coverage.lines { console.say("note: \(line)") }

    let (seconds, tokens) = (Machine.seconds(since: began), matrix.chunkCount * ctx)
    if shared.json {
      print(
        JSONText.object([
          ("output", .string(output)), ("entries", .int(matrix.entries.count)), ("chunks", .int(matrix.chunkCount)),
          ("tokens", .int(tokens)), ("seconds", .double(seconds)), ("coverage", coverage.json),
        ]).text(indented: true))
    } else {
      print(
        "\(output): \(matrix.entries.count) entries from \(matrix.chunkCount) chunks of \(ctx), \(tokens) tokens, "
          + "\(decimals(seconds, 1)) s")
    }
  }
}

extension ImportanceMatrix.Form: ExpressibleByArgument {}

import ArgumentParser
import Bytes
import Conversion
import Quantization

struct Plan: WatchedCommand {
  static let configuration = CommandConfiguration(
    abstract: "Cut a conversion into tasks for many processes.",
    discussion: """
      Writes what is to be done to a folder, for quern task to do piece by piece, on one machine or on many that see the \
      same files, and for quern finalize to prove and publish. The tasks may run in any order; the output is byte for byte \
      that of one process, whatever their number. With --method gptq and --calibration there are two stages: Hessians are \
      summed over slices of the text, and then blocks are rounded apart, as quern convert does with --hessian.

      EXAMPLES
        quern plan ./Llama-3.1-70B --type Q4_K_M --tasks 40 --gguf out/llama.gguf -o plan
        quern plan ./Llama-3.1-70B --type Q8_0 --split-max-size 10G --tasks 8 --gguf out/llama.gguf -o plan
        quern plan ./Llama-3.1-8B -t Q4_K_M --method gptq --calibration mix.txt --tasks 32 --gguf llama.gguf -o plan
        quern submit plan --engine slurm
      """)

  @OptionGroup var conversion: ConversionOptions

  @Option(
    name: .customLong("gguf"),
    help: ArgumentHelp(
      "The GGUF to write; {name} and {type} stand for the model's name and the type.", valueName: "file"))
  var gguf: OutputTemplate

  @Option(name: .shortAndLong, help: ArgumentHelp("The folder for the plan and its results.", valueName: "folder"))
  var output: String

  @Option(help: ArgumentHelp("Tasks of a stage; fewer where there is less to share.", valueName: "count"))
  var tasks: Int

  @Option(
    help: ArgumentHelp(
      "Slices of calibration text, each of which is in memory at once; they decide the last bits of the sums.",
      valueName: "count"))
  var slices = 4

  @Flag(help: "Replace the plan if there is one, and the GGUF when it is published.")
  var force = false

  @OptionGroup var compute: ComputeOptions
  @OptionGroup var shared: SharedOptions

  func validate() throws {
    if !(1...100_000).contains(tasks) { throw ValidationError("--tasks takes a number from 1 to 100000.") }
    if !(1...4096).contains(slices) { throw ValidationError("--slices takes a number from 1 to 4096.") }
    if conversion.recipe.types.count > 1 { throw ValidationError("A plan makes one file: give one --type.") }
    try gguf.validate(types: 1, flag: "--gguf")
    let calibrating = conversion.calibrating
    if calibrating.awq || calibrating.allocates {
      throw ValidationError(
        "--awq and --allocate look at the whole model: choose types first, by convert --save-recipe, and plan with --recipe."
      )
    }
    if calibrating.settings.contains(where: \.needsText) {
      throw ValidationError("Tasks round blocks apart: sequential=on and asymmetry are not for plans.")
    }
  }

  func run() throws {
    let console = shared.console
    let (work, type, name) = try work(console)
    let path = try gguf.path(type: type, name: name)
    // What is in the way, or does not fit, is told of now.
    let target = try OutputSet(path, work.plan.layouts, overwrites: force)
    try target.reserve(work.plan.layouts.map(\.fileSize))
    target.discard()
    let plan = SpreadPlan(
      work, arguments: Array(CommandLine.arguments.dropFirst(2)), folder: try Machine.currentFolder(), output: path,
      tasks: tasks, sliceCount: slices)
    _ = try SpreadFolder(writing: plan, to: output, overwrites: force)
    print(shared.json ? report(plan, work, path).text(indented: true) : text(plan, work, path))
  }

  /// What the tasks work on, from the flags of the plan.
  func work(_ console: Console) throws -> (work: SpreadWork, type: String, name: String) {
    let input = try conversion.reading.open(conversion.input, console, jobs: compute.threads)
    let recipe = try conversion.recipe.recipes(for: input)[0]
    let calibrating = conversion.calibrating
    let rounding = calibrating.rounding(
      importance: try conversion.importance(), text: try calibrating.text(for: input),
      hessians: try conversion.hessians(for: input))
    let work = SpreadWork(
      input, try conversion.plan(input, recipe, rounding), rounding: rounding,
      options: calibrating.summary(rounding, targetBytes: nil) + ", slices \(slices)")
    return (work, recipe.fileType.name, try input.name)
  }

  private func text(_ plan: SpreadPlan, _ work: SpreadWork, _ path: String) -> String {
    let stages = plan.stages.map { "\(plan.taskCount($0)) tasks to \($0.rawValue)" }.joined(separator: ", then ")
    return """
      \(output): \(stages); \(path) of \(megabytes(work.plan.fileBytes))
      run each with quern task \(output) --index N\(plan.stages.count > 1 ? " --stage STAGE" : ""), then quern finalize \
      \(output); quern submit \(output) does it for you
      """
  }

  private func report(_ plan: SpreadPlan, _ work: SpreadWork, _ path: String) -> JSONText {
    .object([
      ("plan", .string(output)), ("output", .string(path)), ("file_bytes", .int(work.plan.fileBytes)),
      ("bytes_read", .int(work.plan.sourceBytes)),
      (
        "stages",
        .array(
          plan.stages.map { .object([("stage", .string($0.rawValue)), ("tasks", .int(plan.taskCount($0)))]) })
      ),
    ])
  }
}

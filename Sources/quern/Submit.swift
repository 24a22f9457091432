import ArgumentParser
import Bytes
import Conversion

struct Submit: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Hand the tasks of a plan to a scheduler.",
    discussion: """
      slurm submits an array of jobs a stage and a job that finalizes after them; a task that is to be tried again requeues \
      itself. parallel runs the tasks with GNU parallel, local one after the other. kubernetes prints Indexed Jobs, for \
      kubectl apply -f -. --print shows what would be run, and runs nothing.

      EXAMPLES
        quern submit plan --engine slurm --sbatch --partition=cpu
        quern submit plan --engine parallel --at-once 4 --jobs 2
        quern submit plan --engine kubernetes --image registry/quern:1 --claim models --mount /models | kubectl apply -f -
      """)

  @OptionGroup var spread: SpreadOptions

  @Option(help: ArgumentHelp("slurm, kubernetes, parallel or local.", valueName: "engine"))
  var engine: Submission.Engine

  @Flag(name: .customLong("print"), help: "Print what would be run, and run nothing.")
  var prints = false

  @Option(
    parsing: .unconditionalSingleValue,
    help: ArgumentHelp("With slurm, a flag for sbatch. Repeatable.", valueName: "flag"))
  var sbatch: [String] = []

  @Option(help: ArgumentHelp("With parallel, tasks at once.", valueName: "count"))
  var atOnce = 1

  @Option(help: ArgumentHelp("With kubernetes, the image that quern is in.", valueName: "image"))
  var image: String?

  @Option(help: ArgumentHelp("With kubernetes, the volume claim that model and plan are on.", valueName: "name"))
  var claim: String?

  @Option(help: ArgumentHelp("With kubernetes, where the volume is mounted.", valueName: "folder"))
  var mount: String?

  @Option(help: ArgumentHelp("With kubernetes, what the names of the jobs begin with.", valueName: "name"))
  var name = "quern"

  @Option(
    help: ArgumentHelp("The program that tasks run. (default: this one; with kubernetes, quern)", valueName: "file"))
  var program: String?

  @OptionGroup var compute: ComputeOptions

  func validate() throws {
    if engine == .kubernetes, image == nil || claim == nil || mount == nil {
      throw ValidationError("kubernetes needs --image, --claim and --mount.")
    }
    if engine != .kubernetes, image != nil || claim != nil || mount != nil {
      throw ValidationError("--image, --claim and --mount are for kubernetes.")
    }
    if engine != .slurm, !sbatch.isEmpty { throw ValidationError("--sbatch is for slurm.") }
    if !(1...1024).contains(atOnce) { throw ValidationError("--at-once takes a number from 1 to 1024.") }
  }

  func run() throws {
    let folder = try Machine.absolute(spread.plan)
    let plan = try SpreadFolder(reading: folder)
    let submission = Submission(
      plan, at: folder, program: try program ?? (engine == .kubernetes ? "quern" : Machine.program()),
      jobs: compute.threads, memory: compute.memory.bytes)
    switch engine {
    case .kubernetes:
      guard let image, let claim, let mount else { return }
      print(
        submission.kubernetes(.init(image: image, claim: claim, mount: mount, name: name)), terminator: "")
    case .slurm: try carryOut(submission.slurm(options: sbatch))
    case .parallel: try carryOut(submission.parallel(atOnce: atOnce))
    case .local: try carryOut(submission.local())
    }
  }

  private func carryOut(_ script: String) throws {
    if prints { return print(script, terminator: "") }
    try Machine.becomeShell(running: script)
  }
}

extension Submission.Engine: ExpressibleByArgument {}

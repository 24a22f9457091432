import ArgumentParser
import Bytes
import Conversion

struct RunTask: WatchedCommand {
  static let configuration = CommandConfiguration(
    commandName: "task",
    abstract: "Carry out one task of a plan.",
    discussion: """
      A task that has ended well is done again only when what it made is not there any more. The number may come from \
      SLURM_ARRAY_TASK_ID, JOB_COMPLETION_INDEX (Kubernetes), AWS_BATCH_JOB_ARRAY_INDEX, OMPI_COMM_WORLD_RANK or \
      PARALLEL_SEQ (GNU parallel, which counts from 1). A task that was interrupted, or whose turn has not come, exits with \
      75: try again.

      EXAMPLES
        quern task plan --index 3
        srun --array 0-39 quern task plan
      """)

  @OptionGroup var spread: SpreadOptions

  @Option(help: ArgumentHelp("Number of the task, from 0. (default: told by the scheduler)", valueName: "number"))
  var index: Int?

  @Option(help: ArgumentHelp("calibrate or convert.", valueName: "stage"))
  var stage: SpreadPlan.Stage = .convert

  @OptionGroup var compute: ComputeOptions
  @OptionGroup var shared: SharedOptions

  func run() throws {
    guard let index = try index ?? TaskIndex(Machine.environment)?.number else {
      throw ValidationError("Give the number of the task with --index: no scheduler has told it.")
    }
    let (folder, flags, work) = try spread.open(shared.console)
    let count = folder.plan.taskCount(stage)
    guard (0..<count).contains(index) else {
      throw ValidationError(
        count == 0
          ? "The plan has nothing to \(stage.rawValue)." : "The plan has tasks 0 to \(count - 1), not \(index).")
    }
    let began = ContinuousClock.now
    Interruption.listen()
    let outcome = try folder.run(
      stage, index, of: work, jobs: compute.threads, memory: compute.memory.bytes, overwrites: flags.force,
      progress: shared.console.progress())
    Interruption.stopListening()
    let seconds = Machine.seconds(since: began)
    guard !shared.json else {
      let report = JSONText.object([
        ("plan", .string(spread.plan)), ("stage", .string(stage.rawValue)), ("task", .int(index)),
        ("outcome", .string(outcome.rawValue)), ("seconds", .double(seconds)),
        ("peak_rss_bytes", .int(Machine.peakResidentBytes)),
      ])
      return print(report.text(indented: true))
    }
    print(
      "task \(index) of \(count) to \(stage.rawValue): "
        + (outcome == .done ? "done, \(decimals(seconds, 1)) s" : "was done before"))
  }
}

/// The number of a task as a scheduler tells it.
struct TaskIndex: Equatable {
  var number: Int

  private static let variables = [
    ("SLURM_ARRAY_TASK_ID", 0), ("JOB_COMPLETION_INDEX", 0), ("AWS_BATCH_JOB_ARRAY_INDEX", 0),
    ("OMPI_COMM_WORLD_RANK", 0), ("PARALLEL_SEQ", 1),
  ]

  /// - Parameter environment: gives the value of a variable.
  /// - Throws: `ValidationError` for what is no number.
  init?(_ environment: (String) -> String?) throws {
    for (name, first) in TaskIndex.variables {
      guard let text = environment(name), !text.isEmpty else { continue }
      guard let number = Int(text) else {
        throw ValidationError("\(name) is \(printable(text)), which is not the number of a task.")
      }
      self.number = number - first
      return
    }
    return nil
  }
}

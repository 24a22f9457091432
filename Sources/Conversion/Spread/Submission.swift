/// The text with which an existing engine carries out a plan.
///
/// Every engine runs the stages one after the other and `quern finalize` last, tells a task its number by a variable of its
/// own, and acts on exit codes: 75 is tried again, anything else is a failure that repeating does not mend.
public struct Submission: Sendable {
  public enum Engine: String, CaseIterable, Sendable {
    case slurm, kubernetes, parallel, local
  }

  /// Of the plan, as every task sees it.
  let folder: String
  let program: String
  let stages: [(stage: SpreadPlan.Stage, tasks: Int)]
  /// Threads and bytes of a task.
  let jobs: Int
  let memory: Int

  public init(_ plan: SpreadFolder, at folder: String, program: String, jobs: Int, memory: Int) {
    (self.folder, self.program, self.jobs, self.memory) = (folder, program, jobs, memory)
    stages = plan.plan.stages.map { ($0, plan.plan.taskCount($0)) }
  }

  /// So often is a task tried again that could not end.
  private static let retries = 10

  /// The command of one task, but for its number.
  func words(_ stage: SpreadPlan.Stage) -> [String] {
    [program, "task", folder, "--stage", stage.rawValue, "--jobs", "\(jobs)", "--memory", "\(memory >> 20)M"]
  }

  var finalWords: [String] { [program, "finalize", folder] }

  // MARK: Shell

  /// A script that hands an array of jobs a stage to Slurm, each after the one before, and prints the number of the last.
  ///
  /// A task that is to be tried again puts itself back into the queue, as Slurm does with those of a node that failed.
  public func slurm(options: [String] = []) -> String {
    let more = options.map { " " + quoted($0) }.joined()
    var lines = ["#!/bin/sh", "set -e", "after="]
    for (stage, tasks) in stages {
      lines += [
        "after=$(sbatch --parsable --job-name=quern-\(stage.rawValue) --array=0-\(tasks - 1) --requeue $after \\",
        "  --cpus-per-task=\(jobs) --mem=\((memory >> 20) + Submission.slack)M --output=\(quoted(log(stage))) \\",
        " \(more) <<'END'", "#!/bin/sh", "\(shell(words(stage)))", "code=$?",
        "if [ $code = 75 ] && [ \"${SLURM_RESTART_COUNT:-0}\" -lt \(Submission.retries) ]; then",
        "  exec scontrol requeue \"${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}\"", "fi", "exit $code", "END", ")",
        "after=\"--kill-on-invalid-dep=yes --dependency=afterok:${after%%;*}\"",
      ]
    }
    lines += [
      "sbatch --parsable --job-name=quern-finalize $after --output=\(quoted("\(folder)/finalize.log"))\(more) <<'END'",
      "#!/bin/sh", "exec \(shell(finalWords))", "END",
    ]
    return lines.joined(separator: "\n") + "\n"
  }

  /// Beside what a task may use, for the program itself.
  private static let slack = 256

  private func log(_ stage: SpreadPlan.Stage) -> String { "\(folder)/\(stage.rawValue)-%a.log" }

  /// A script that runs the tasks with GNU parallel. Run again, it does what had failed.
  public func parallel(atOnce: Int) -> String {
    var lines = ["#!/bin/sh", "set -e"]
    for (stage, tasks) in stages {
      lines.append(
        "seq 0 \(tasks - 1) | parallel --jobs \(atOnce) --retries \(Submission.retries) --joblog "
          + "\(quoted("\(folder)/\(stage.rawValue).joblog")) \(shell(words(stage))) --index '{}'")
    }
    lines.append("exec \(shell(finalWords))")
    return lines.joined(separator: "\n") + "\n"
  }

  /// A script that runs the tasks one after the other.
  public func local() -> String {
    var lines = ["#!/bin/sh", "set -e"]
    for (stage, tasks) in stages {
      lines.append("for index in $(seq 0 \(tasks - 1)); do \(shell(words(stage))) --index \"$index\"; done")
    }
    lines.append("exec \(shell(finalWords))")
    return lines.joined(separator: "\n") + "\n"
  }

  private func shell(_ words: [String]) -> String { words.map(quoted).joined(separator: " ") }

  /// `word` as a shell takes it for one word.
  private func quoted(_ word: String) -> String {
    let isPlain = !word.isEmpty && word.utf8.allSatisfy { Submission.plain.contains($0) }
    return isPlain
      ? word : "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
  }

  private static let plain = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:,+@%".utf8)
}

import Bytes

/// How a batch is run.
public struct BatchOptions: Sendable {
  /// Of all jobs that run at once.
  var budget: BatchScheduler.Demand
  /// How often a job that was interrupted or killed is tried again.
  var retries: Int
  /// Whether files that the batch did not make may be replaced.
  var overwrites: Bool

  /// What a job has that says nothing, as for `quern convert`.
  private static let jobMemory = 4 << 30

  public init(threads: Int, memory: Int, retries: Int, overwrites: Bool) {
    (budget, self.retries, self.overwrites) = (.init(threads: threads, memory: memory), retries, overwrites)
  }

  /// What each job may take.
  /// - Throws: `LIMIT` for a job that asks for more than there is.
  func demands(_ manifest: BatchManifest) throws(InputError) -> [BatchScheduler.Demand] {
    for job in manifest.jobs {
      guard job.threads ?? 1 <= budget.threads, job.memory ?? 0 <= budget.memory else {
        throw InputError(
          .limit,
          "it asks for \(job.threads ?? 1) threads and \(job.memory ?? 0) bytes of memory, the batch has \(budget.threads) and "
            + "\(budget.memory)", file: manifest.path, subject: job.name, remedy: "give more with --jobs and --memory")
      }
    }
    return BatchScheduler.demands(
      manifest.jobs.map { ($0.threads, $0.memory) }, budget: budget, memory: BatchOptions.jobMemory)
  }
}

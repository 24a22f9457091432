import Bytes

/// Runs the jobs of a manifest: each step in a process of its own, as many at once as the budget lets, and each job no more
/// often than needed. What was done by an earlier run, and still stands, is not done again.
///
/// A job is made in the folder `.unproved` beside its output, proved there if it has a text, and takes its name when that is
/// done. Its record is written before, so that wherever a run is killed the next one knows what it finds.
public struct BatchRun {
  private let manifest: BatchManifest
  let options: BatchOptions
  let state: BatchState
  let demands: [BatchScheduler.Demand]
  let program: String
  let say: (String) -> Void

  var jobs: [Active] = []
  var running: [Int: Process] = [:]
  var isStopping = false
  /// Jobs that have ended since they were asked for, and whether trying again may help.
  var ending: [Int: Bool] = [:]
  private let began = ContinuousClock.now

  /// A job under way.
  struct Active {
    var result: BatchResult
    var steps: [BatchStep] = []
    var isDone: Bool
  }

  struct Process {
    var number: Int32
    var step: BatchStep
    var began: Double
  }

  /// - Parameter say: is told what begins and what ends.
  /// - Throws: `LIMIT` for a job that asks for more than the budget.
  public init(_ manifest: BatchManifest, _ options: BatchOptions, say: @escaping (String) -> Void = { _ in }) throws {
    (self.manifest, self.options, self.say) = (manifest, options, say)
    (state, program) = (BatchState(folder: manifest.state), try Machine.program())
    demands = try options.demands(manifest)
  }

  /// - Returns: what became of every job.
  /// - Throws: `LOCKED` when another run of the manifest is under way; errors of reading and writing the state folder.
  public mutating func run(progress: ProgressHandler? = nil) throws -> BatchReport {
    let lock = try state.lock()
    defer { lock.discard() }
    jobs = try manifest.jobs.map { try standing($0) }
    let waiting = jobs.indices.filter { !jobs[$0].isDone }
    var scheduler = BatchScheduler(
      waiting.map { demands[$0] }, budget: options.budget, retries: options.retries)
    progress?(self.progress())
    while !scheduler.isDone {
      listen()
      if isStopping, running.isEmpty { break }
      if !isStopping { for place in scheduler.start(at: now) { begin(waiting[place]) } }
      let ended = try reap()
      for (job, mayRetry) in ended {
        guard let place = waiting.firstIndex(of: job) else { continue }
        if let pause = scheduler.ended(place, mayRetry: mayRetry && !isStopping, at: now) {
          say("\(jobs[job].result.job.name): \(jobs[job].result.problem ?? "failed"); again in \(Int(pause)) s")
        } else {
          jobs[job].isDone = true
          tell(jobs[job].result)
          progress?(self.progress())
        }
      }
      if ended.isEmpty { SystemCalls.sleep(seconds: 0.02) }
    }
    for index in jobs.indices where !jobs[index].isDone {
      jobs[index].result.status = .interrupted
      jobs[index].result.problem = jobs[index].result.problem ?? "not begun"
    }
    let report = BatchReport(
      manifest: manifest.path, results: jobs.map(\.result), seconds: now, index: state.index)
    try OutputFile.write(report.html, to: state.index)
    return report
  }

  var now: Double { seconds(ContinuousClock.now - began) }

  private func progress() -> Progress {
    Progress("jobs", unit: .steps, done: jobs.count(where: \.isDone), total: jobs.count)
  }

  private func tell(_ result: BatchResult) {
    let log = result.status == .done ? "" : result.log.map { "; see \($0)" } ?? ""
    say("\(result.job.name): \(result.status.rawValue)" + (result.problem.map { ", \($0)" } ?? "") + log)
  }

  // MARK: What there is to do

  private func standing(_ job: BatchJob) throws -> Active {
    let record = BatchRecord(reading: state.record(job))
    var result = BatchResult(job: job, status: .failed, record: record)
    let standing = try BatchStanding(of: job, record)
    if try SystemCalls.status(at: state.report(job)) != nil { result.report = state.report(job) }
    if standing.kind == .done {
      result.status = .upToDate
      return Active(result: result, isDone: true)
    }
    if standing.kind == .refused {
      // The same proof would say the same.
      (result.status, result.exitCode, result.problem) = (.gateFailed, 3, record?.proof?.refusal(job))
      return Active(result: result, isDone: true)
    }
    result.log = state.log(job)
    var steps: [BatchStep] = standing.kind == .unmade ? [.convert] : []
    if job.proof != nil, standing.kind != .proved { steps.append(.verify) }
    return Active(result: result, steps: steps, isDone: false)
  }

  // MARK: Ending

  /// Passes on to the jobs that the batch is to end.
  private mutating func listen() {
    guard !isStopping else { return }
    do { try Interruption.check() } catch {
      isStopping = true
      say("interrupted: waiting for \(running.count) jobs to end")
      for process in running.values { SystemCalls.send(SystemCalls.termination, to: process.number) }
    }
  }
}

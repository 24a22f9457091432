import Bytes

/// Runs the jobs of a manifest: each step in a process of its own, as many at once as the budget lets, and each job no more
/// often than needed. What was done by an earlier run, and still stands, is not done again.
///
/// A job is made in the folder `.unproved` beside its output, proved there if it has a text, and takes its name when that is
/// done. Its record is written before, so that wherever a run is killed the next one knows what it finds.
public struct BatchRun {
  private let manifest: BatchManifest
  private let options: BatchOptions
  private let state: BatchState
  private let demands: [BatchScheduler.Demand]
  private let program: String
  private let say: (String) -> Void

  private var jobs: [Active] = []
  private var running: [Int: Process] = [:]
  private var isStopping = false
  private let began = ContinuousClock.now

  /// A job under way.
  private struct Active {
    var result: BatchResult
    var steps: [BatchStep] = []
    var began = 0.0
    var isDone: Bool
  }

  private struct Process {
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
    try write(report.html, to: state.index)
    return report
  }

  private var now: Double { seconds(ContinuousClock.now - began) }

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
    result.log = state.log(job)
    var steps: [BatchStep] = standing.kind == .unmade ? [.convert] : []
    if job.proof != nil, !standing.needsNameOnly { steps.append(.verify) }
    return Active(result: result, steps: steps, isDone: false)
  }

  // MARK: Steps

  private mutating func begin(_ job: Int) {
    jobs[job].began = now
    say("\(jobs[job].result.job.name): begins" + (jobs[job].steps.first.map { " with \($0.rawValue)" } ?? ""))
    next(job)
  }

  /// Starts the next step of the job, or ends it.
  private mutating func next(_ index: Int) {
    let job = jobs[index].result.job
    do {
      guard let step = jobs[index].steps.first else {
        try publish(index)
        return
      }
      let arguments: [String]?
      switch step {
      case .plan, .convert:
        try refuseForeign(jobs[index].result)
        try SystemCalls.makeFolders(OutputFile.split(job.unproved).folder)
        arguments = job.convertArguments(demands[index])
      case .verify:
        arguments = try place(jobs[index].result).flatMap {
          job.verifyArguments($0, report: state.report(job), demands[index])
        }
      }
      guard let arguments else { throw InputError(.missing, "its output is not there", file: job.output) }
      let number = try SystemCalls.start(
        program, arguments, adding: ["\(Machine.parentVariable)=\(SystemCalls.processID)"],
        output: state.result(job, step), errors: state.log(job))
      running[index] = Process(number: number, step: step, began: now)
    } catch {
      fail(index, "\(error)")
    }
  }

  /// The file of the output that leads to the others, where it is now.
  private func place(_ result: BatchResult) throws -> String? {
    guard let file = result.record?.files.first else { return nil }
    return try file.fits(file.path) ? file.path : result.job.unproved(of: file)
  }

  /// - Throws: `PATH` when under the name of the output stands what this batch did not make.
  private func refuseForeign(_ result: BatchResult) throws {
    guard !options.overwrites, try SystemCalls.status(at: result.job.output) != nil else { return }
    if try result.record?.published.contains(where: { try $0.fits(result.job.output) }) == true { return }
    throw InputError(
      .path, "stands there and was not made by this batch", file: result.job.output,
      remedy: "move it away, or use --force to replace it")
  }

  private mutating func fail(_ index: Int, _ problem: String) {
    jobs[index].result.status = .failed
    jobs[index].result.problem = problem
    jobs[index].steps = []
    running[index] = nil
    ending[index] = false
  }

  /// Jobs that have ended since they were asked for, and whether trying again may help.
  private var ending: [Int: Bool] = [:]

  /// - Returns: jobs that ended.
  private mutating func reap() throws -> [(job: Int, mayRetry: Bool)] {
    for (index, process) in running {
      guard let ended = try SystemCalls.ending(of: process.number) else { continue }
      running[index] = nil
      jobs[index].result.seconds += now - process.began
      after(index, process, ended)
    }
    defer { ending = [:] }
    return ending.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  private mutating func after(_ index: Int, _ process: Process, _ ended: SystemCalls.Ending) {
    let job = jobs[index].result.job
    switch ended {
    case .exited(let code): jobs[index].result.exitCode = Int(code)
    case .killed(let signal): jobs[index].result.exitCode = 128 + Int(signal)
    }
    do {
      switch (process.step, ended) {
      case (.convert, .exited(0)):
        try converted(index, seconds: now - process.began)
      case (.verify, .exited(let code)) where code == 0 || code == 3:
        try proved(index, passed: code == 0, seconds: now - process.began)
        if code == 3 {
          ending[index] = false
          return
        }
      case (_, .exited(let code)) where code != 75 && code != 130:
        fail(index, lastLine(state.log(job)) ?? "\(process.step.rawValue) ended with \(code)")
        return
      default:
        if case .killed(let signal) = ended {
          jobs[index].result.problem = "\(process.step.rawValue) was ended by signal \(signal)"
        } else {
          jobs[index].result.problem = lastLine(state.log(job)) ?? "interrupted"
        }
        jobs[index].result.status = isStopping ? .interrupted : .failed
        ending[index] = true
        return
      }
    } catch {
      fail(index, "\(error)")
      return
    }
    jobs[index].result.problem = nil
    jobs[index].steps.removeFirst()
    next(index)
  }

  /// Notes what the conversion made.
  private mutating func converted(_ index: Int, seconds: Double) throws {
    let job = jobs[index].result.job
    let report = try JSONDocument(reading: state.result(job, .convert), limit: 1 << 26).root
    let files = try report.required("files").elements().map { file in
      let waiting = try file.required("path").string()
      guard var stamp = try FileStamp(waiting) else {
        throw InputError(.missing, "what was made is gone", file: waiting)
      }
      stamp.path = job.published(waiting)
      return stamp
    }
    let record = BatchRecord(
      conversion: try BatchRecord.identity(converting: job), files: files,
      made: BatchRecord.Made(
        sha256: try report.optional("sha256")?.string(), bytes: try report.required("file_bytes").int(),
        bitsPerWeight: try report.required("bits_per_weight").double(),
        bytesRead: try report.required("bytes_read").int(), seconds: seconds),
      published: jobs[index].result.record?.published ?? [])
    try record.write(to: state.record(job))
    jobs[index].result.record = record
  }

  /// Notes what the proof said. What fails a gate where it stands is taken out of the way.
  private mutating func proved(_ index: Int, passed: Bool, seconds: Double) throws {
    let job = jobs[index].result.job
    guard var record = jobs[index].result.record else { return }
    let report = try JSONDocument(reading: state.result(job, .verify), limit: 1 << 28).root
    let drift = try report.optional("kld")?.required("mean").double()
    let failed = try report.required("gates").elements().filter { try !$0.required("passed").bool() }
    record.proof = BatchRecord.Proof(
      identity: try BatchRecord.identity(proving: job), passed: passed, seconds: seconds,
      perplexity: try report.optional("perplexity_quantized")?.double(),
      reference: try report.optional("perplexity_reference")?.double(), divergence: drift,
      topOne: try report.optional("top1_agreement")?.double(),
      gates: try failed.map { gate in
        let (value, limit) = (try gate.required("value").double(), try gate.required("limit").double())
        return "\(try gate.required("name").string()) is \(value), the limit \(limit)"
      })
    if !passed {
      if let path = try place(jobs[index].result), path == record.files.first?.path {
        try SystemCalls.makeFolders(OutputFile.split(job.unproved).folder)
        try OutputFile.move(job.publication(record.files).map { ($0.to, $0.from) }, overwrites: true)
      }
      record.published = try record.published.filter { try $0.fits($0.path) }
      jobs[index].result.status = .gateFailed
      jobs[index].result.problem =
        (record.proof?.gates ?? []).joined(separator: "; ") + "; the file is at \(job.unproved)"
    }
    try record.write(to: state.record(job))
    jobs[index].result.record = record
    jobs[index].result.report = state.report(job)
  }

  /// Gives the output its name: everything that the manifest asks of it is done.
  private mutating func publish(_ index: Int) throws {
    let job = jobs[index].result.job
    guard var record = jobs[index].result.record else { return }
    try refuseForeignAtTheEnd(record, job)
    try OutputFile.move(job.publication(record.files), overwrites: options.overwrites || !record.published.isEmpty)
    record.published = record.files
    try record.write(to: state.record(job))
    jobs[index].result.record = record
    jobs[index].result.status = .done
    ending[index] = false
  }

  /// Between the beginning of a job and its end somebody else may have taken the name.
  private func refuseForeignAtTheEnd(_ record: BatchRecord, _ job: BatchJob) throws {
    guard !options.overwrites, let file = record.files.first, try SystemCalls.status(at: file.path) != nil else {
      return
    }
    for known in record.published + record.files where try known.fits(file.path) { return }
    throw InputError(.path, "another file took the name meanwhile", file: file.path)
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

  /// What a step said last.
  private func lastLine(_ path: String) -> String? {
    guard let bytes = try? RandomAccessFile(path).readAll(limit: 1 << 26) else { return nil }
    return String(decoding: bytes.suffix(4096), as: UTF8.self).split(separator: "\n").last.map {
      printable($0.hasPrefix("quern: ") ? String($0.dropFirst(7)) : String($0), limit: 400)
    }
  }

  private func write(_ text: String, to path: String) throws {
    let file = try OutputFile(path, overwrites: true)
    do {
      let bytes = Array(text.utf8)
      try unsafe file.write(bytes.span.bytes, at: 0)
      try file.publish()
    } catch {
      file.discard()
      throw error
    }
  }
}

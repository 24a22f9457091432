import Bytes

extension BatchRun {
  mutating func begin(_ job: Int) {
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
      case .convert:
        try refuseForeign(jobs[index].result, at: job.names())
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

  /// - Parameter paths: names of the job's output.
  /// - Throws: `PATH` when under one of them stands what this batch did not make.
  private func refuseForeign(_ result: BatchResult, at paths: [String]) throws {
    guard !options.overwrites else { return }
    let made = (result.record?.published ?? []) + (result.record?.files ?? [])
    for path in paths where try SystemCalls.status(at: path) != nil {
      if try made.contains(where: { try $0.fits(path) }) { continue }
      throw InputError(
        .path, "stands there and was not made by this batch", file: path,
        remedy: "move it away, or use --force to replace it")
    }
  }

  private mutating func fail(_ index: Int, _ problem: String) {
    jobs[index].result.status = .failed
    jobs[index].result.problem = problem
    jobs[index].steps = []
    running[index] = nil
    ending[index] = false
  }

  /// - Returns: jobs that ended.
  mutating func reap() throws -> [(job: Int, mayRetry: Bool)] {
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
        fail(index, BatchState.lastLine(state.log(job)) ?? "\(process.step.rawValue) ended with \(code)")
        return
      default:
        if case .killed(let signal) = ended {
          jobs[index].result.problem = "\(process.step.rawValue) was ended by signal \(signal)"
        } else {
          jobs[index].result.problem = BatchState.lastLine(state.log(job)) ?? "interrupted"
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
    let made = try report.required("files").elements().map { try $0.required("path").string() }
    let files = try (made + job.attestations(of: job.unproved)).map { waiting in
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
      jobs[index].result.problem = record.proof?.refusal(job)
    }
    try record.write(to: state.record(job))
    jobs[index].result.record = record
    jobs[index].result.report = state.report(job)
  }

  /// Gives the output its name: everything that the manifest asks of it is done.
  private mutating func publish(_ index: Int) throws {
    let job = jobs[index].result.job
    guard var record = jobs[index].result.record else { return }
    // Since the job began somebody else may have taken a name.
    try refuseForeign(jobs[index].result, at: record.files.map(\.path))
    try OutputFile.move(job.publication(record.files), overwrites: options.overwrites || !record.published.isEmpty)
    // Of an earlier set of more files some stand there still.
    let others = try record.published.filter { try !record.files.contains($0) && $0.fits($0.path) }
    record.published = record.files + others
    try record.write(to: state.record(job))
    jobs[index].result.record = record
    jobs[index].result.status = .done
    ending[index] = false
  }
}

public import Bytes

/// What a run of a batch would do, job by job; only plans of conversions are made for it, each by a process of its own.
public struct BatchPreview: Sendable {
  public struct Row: Sendable {
    public let name: String
    /// `done`, `missing`, `stale: the model changed` and the like.
    public let reason: String
    public let output: String
    /// Exact bytes of the output; `nil` when it is made already, or cannot be planned.
    public var bytes: Int?
    /// Seconds that it may take.
    public var seconds: Double?
    public let threads: Int
    public let memory: Int
    /// What would be run.
    public var commands: [[String]]
    /// Why it cannot be done.
    public var problem: String?
  }

  public var rows: [Row] = []
  /// Where the outputs go: what they need and what is free, a file system each.
  public var folders: [(folder: String, needed: Int, free: Int)] = []
  /// What the times are judged by.
  public var basis: String
  /// Of the whole batch, its jobs side by side as the budget lets.
  public var seconds: Double

  /// Bytes of a model a second, when no job was timed yet.
  private static let defaultRate = 50e6

  public init(_ manifest: BatchManifest, _ options: BatchOptions) throws {
    let (state, program) = (BatchState(folder: manifest.state), try Machine.program())
    let demands = try options.demands(manifest)
    let records = manifest.jobs.map { BatchRecord(reading: state.record($0)) }
    let timed = records.compactMap(\.self).filter { $0.made.seconds > 0 && $0.made.bytesRead > 0 }
    let measured = timed.reduce(into: (0.0, 0.0)) {
      $0.0 += Double($1.made.bytesRead)
      $0.1 += $1.made.seconds + ($1.proof?.seconds ?? 0)
    }
    let rate = timed.isEmpty ? BatchPreview.defaultRate : measured.0 / measured.1
    basis =
      "\(decimals(rate / 1e6, 1)) MB of a model a second, "
      + (timed.isEmpty ? "assumed: no job was timed yet" : "as in \(timed.count) jobs that were done")
    seconds = 0
    let scratch = try ScratchFolder()
    var needed: [String: Int] = [:]
    for (index, job) in manifest.jobs.enumerated() {
      try Interruption.check()
      let standing = try BatchStanding(of: job, records[index])
      var row = Row(
        name: job.name, reason: standing.reason, output: job.output, threads: demands[index].threads,
        memory: demands[index].memory, commands: [])
      if standing.kind == .unmade {
        row.commands.append([program] + job.convertArguments(demands[index]))
        switch try BatchPreview.plan(job, program, scratch) {
        case .success(let plan):
          (row.bytes, row.seconds) = (plan.bytes, Double(plan.bytesRead) / rate)
          needed[OutputFile.split(job.output).folder, default: 0] += plan.bytes
        case .failure(let problem): row.problem = problem.text
        }
      }
      if standing.kind == .unmade || standing.kind == .unproved {
        let verify = job.verifyArguments(job.unproved, report: state.report(job), demands[index])
        if let verify { row.commands.append([program] + verify) }
      }
      rows.append(row)
      seconds +=
        (row.seconds ?? 0)
        * Double(
          max(
            demands[index].threads * options.budget.memory,
            demands[index].memory * options.budget.threads))
        / Double(options.budget.threads * options.budget.memory)
    }
    folders = try needed.sorted { $0.key < $1.key }.map { folder, bytes in
      (folder.isEmpty ? "." : folder, bytes, try BatchPreview.free(around: folder))
    }
  }

  private struct Problem: Error { let text: String }

  private final class ScratchFolder {
    let path: String
    init() throws { path = try SystemCalls.makeTemporaryFolder() }
    var output: String { path + "/plan" }
    var errors: String { path + "/errors" }
    deinit {
      for file in [output, errors] { try? SystemCalls.unlink(file) }
      try? SystemCalls.removeFolder(path)
    }
  }

  /// Has a process say what the conversion would write.
  private static func plan(
    _ job: BatchJob, _ program: String, _ scratch: ScratchFolder
  ) throws -> Result<(bytes: Int, bytesRead: Int), Problem> {
    try? SystemCalls.unlink(scratch.errors)
    let number = try SystemCalls.start(
      program, job.planArguments(), adding: ["\(Machine.parentVariable)=\(SystemCalls.processID)"],
      output: scratch.output, errors: scratch.errors)
    var ending: SystemCalls.Ending?
    while ending == nil {
      ending = try SystemCalls.ending(of: number)
      if ending == nil { SystemCalls.sleep(seconds: 0.005) }
    }
    guard ending == .exited(0) else {
      return .failure(Problem(text: BatchState.lastLine(scratch.errors) ?? "the plan was ended by a signal"))
    }
    let plan = try JSONDocument(reading: scratch.output, limit: 1 << 28).root
    return .success((try plan.required("file_bytes").int(), try plan.required("bytes_read").int()))
  }

  /// Of the file system that the folder is on, or will be.
  private static func free(around folder: String) throws -> Int {
    var folder = folder.isEmpty ? "." : folder
    while try SystemCalls.status(at: folder) == nil {
      let up = OutputFile.split(folder.hasSuffix("/") ? String(folder.dropLast()) : folder).folder
      folder = up.isEmpty ? "." : up
    }
    let descriptor = try SystemCalls.openFolder(folder)
    defer { try? SystemCalls.close(descriptor, path: folder) }
    return try SystemCalls.freeBytes(descriptor, path: folder)
  }

  public var json: JSONText {
    .object([
      (
        "jobs",
        .array(
          rows.map { row in
            .object([
              ("name", .string(row.name)), ("status", .string(row.reason)), ("output", .string(row.output)),
              ("file_bytes", row.bytes.map { .int($0) } ?? .null),
              ("seconds_estimated", row.seconds.map { .double($0) } ?? .null), ("threads", .int(row.threads)),
              ("memory", .int(row.memory)),
              ("commands", .array(row.commands.map { .array($0.map { .string($0) }) })),
              ("problem", row.problem.map { .string($0) } ?? .null),
            ])
          })
      ),
      (
        "disk",
        .array(
          folders.map {
            .object([
              ("folder", .string($0.folder)), ("needed_bytes", .int($0.needed)), ("free_bytes", .int($0.free)),
            ])
          })
      ), ("seconds_estimated", .double(seconds)), ("estimated_by", .string(basis)),
    ])
  }
}

import Bytes
import GGUF

/// The folder of a batch: what is known of each job, its log, its report, and the lock that keeps a second run of the same
/// manifest away.
struct BatchState {
  let folder: String

  /// Held while the batch runs.
  func lock() throws -> OutputFile {
    try SystemCalls.makeFolders(folder)
    do {
      return try OutputFile(path("batch"), overwrites: true)
    } catch let error as InputError where error.code == .locked {
      throw InputError(.locked, "another run of the batch is under way", file: folder, remedy: "wait for it")
    }
  }

  private func path(_ name: String) -> String { "\(folder)/\(name)" }
  func record(_ job: BatchJob) -> String { path(job.stem + ".json") }
  func log(_ job: BatchJob) -> String { path(job.stem + ".log") }
  func report(_ job: BatchJob) -> String { path(job.stem + ".html") }
  /// What a step of the job prints as its result.
  func result(_ job: BatchJob, _ step: BatchStep) -> String { path("\(job.stem).\(step.rawValue)") }
  var index: String { path("index.html") }

  /// What a step said last, as its log at `path` has it.
  static func lastLine(_ path: String) -> String? {
    guard let log = try? RandomAccessFile(path), case let count = min(log.size, 4096),
      let bytes = try? log.read(at: log.size - count, count: count)
    else { return nil }
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n").last.map {
      printable($0.hasPrefix("quern: ") ? String($0.dropFirst(7)) : String($0), limit: 400)
    }
  }
}

/// What is run for a job, each in a process of its own.
enum BatchStep: String { case convert, verify }

/// How far a job is, by its record and by what stands on the disk.
struct BatchStanding {
  enum Kind: Equatable {
    /// The output stands under its name, made and proved as the manifest asks.
    case done
    /// It waits, proved as the manifest asks, and only has to be given its name.
    case proved
    /// It waits, and fails a gate of those that the manifest asks.
    case refused
    /// It is whole, in its place or where it waits, and not proved as asked.
    case unproved
    /// It was not made yet, as the manifest asks.
    case unmade
  }

  var kind: Kind
  /// Why it is not done: `missing`, `stale: the model changed`.
  var reason: String

  init(of job: BatchJob, _ record: BatchRecord?) throws {
    guard let record else {
      (kind, reason) = (.unmade, "missing")
      return
    }
    if let change = BatchRecord.change(try BatchRecord.identity(converting: job), record.conversion) {
      (kind, reason) = (.unmade, "stale: \(change) changed")
      return
    }
    let isPublished = try record.files.allSatisfy { try $0.fits($0.path) }
    guard try isPublished || record.files.allSatisfy({ try $0.fits(job.unproved(of: $0)) || $0.fits($0.path) }) else {
      let stands = try record.files.contains { try SystemCalls.status(at: $0.path) != nil }
      (kind, reason) = (.unmade, stands ? "stale: the output changed" : "missing")
      return
    }
    kind = .unproved
    if job.proof == nil {
      (kind, reason) = isPublished ? (.done, "done") : (.proved, "not published")
    } else if let proof = record.proof {
      if let change = BatchRecord.change(try BatchRecord.identity(proving: job), proof.identity) {
        reason = "stale: the proof's \(change) changed"
      } else if !proof.passed {
        (kind, reason) = (isPublished ? .unproved : .refused, "a gate failed")
      } else {
        (kind, reason) = isPublished ? (.done, "done") : (.proved, "not published")
      }
    } else {
      reason = "not proved"
    }
  }
}

extension BatchJob {
  /// Where a file of the output waits for its proof.
  func unproved(of file: FileStamp) -> String {
    OutputFile.split(unproved).folder + OutputFile.split(file.path).name
  }

  /// Where it will be.
  func published(_ waiting: String) -> String { OutputFile.split(output).folder + OutputFile.split(waiting).name }

  /// The files' old names and new ones.
  func publication(_ files: [FileStamp]) -> [(from: String, to: String)] { files.map { (unproved(of: $0), $0.path) } }

  /// What was written beside the output, which is at `path`, to attest it.
  func attestations(of path: String) throws -> [String] {
    guard conversion.contains("--provenance") else { return [] }
    return try [".sha256", ".intoto.json"].map { OutputSet.stem(path) + $0 }
      .filter { try SystemCalls.status(at: $0) != nil }
  }

  /// What the output's files may be called. Whether they are a set, and of how many, only the conversion knows: so these are the
  /// names of all sets that are there.
  func names() throws -> [String] {
    var paths = [output] + (try attestations(of: output))
    let (folder, stem) = OutputFile.split(OutputSet.stem(output))
    if conversion.contains(where: { $0.hasPrefix("--split-max-") }),
      try SystemCalls.status(at: folder.isEmpty ? "." : folder) != nil
    {
      paths += try SystemCalls.entries(of: folder.isEmpty ? "." : folder)
        .filter { GGUFLayout.isSetFileName($0, of: stem) }.map { folder + $0 }
    }
    return paths
  }
}

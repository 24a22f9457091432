import ArgumentParser
import Bytes
import Conversion

struct Batch: WatchedCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make many models by many recipes, unattended.",
    discussion: """
      The manifest names models and recipes; every pair is a job: quern convert, and with a text quern verify, each in a \
      process of its own. A job that fails hurts no other. What fails a gate stays in the folder .unproved beside its output and \
      does not take its name. Run again, the batch does only what is missing or stale, and what failed.
      Exit code 0 when every job is done, 1 when one failed, 3 when only gates failed, 75 when it was interrupted.

      EXAMPLES
        quern batch night.yaml --dry-run
        quern batch night.yaml --memory 32G --json > night.json
      """)

  @Argument(help: "The manifest, in YAML; see docs/pipeline.md.")
  var manifest: String

  @Flag(help: "Print every job with its command lines, size and time, and run nothing.")
  var dryRun = false

  @Option(
    name: [.customShort("j"), .long], help: "Threads of all jobs that run at once. (default: one a processor)")
  var jobs: Int?

  @Option(
    help: ArgumentHelp(
      "Memory of all jobs that run at once. One job that says nothing takes 4G: with 16G four run at once.",
      valueName: "size"))
  var memory = ByteSize(bytes: 4 << 30)

  @Option(help: ArgumentHelp("How often a job that was killed or is to be tried again is.", valueName: "count"))
  var retries = 2

  @Flag(help: "Replace files that the batch did not make.")
  var force = false

  @OptionGroup var shared: SharedOptions

  func validate() throws {
    if let jobs, !(1...1024).contains(jobs) { throw ValidationError("--jobs takes a number from 1 to 1024.") }
    if memory.bytes < 64 << 20 { throw ValidationError("--memory takes at least 64M.") }
    if !(0...100).contains(retries) { throw ValidationError("--retries takes a number from 0 to 100.") }
  }

  func run() throws {
    let console = shared.console
    let options = BatchOptions(
      threads: jobs ?? Machine.processorCount, memory: memory.bytes, retries: retries, overwrites: force)
    let (manifest, batch) = try read(options, console)
    Interruption.listen()
    guard !dryRun else {
      let preview = try BatchPreview(manifest, options)
      return print(shared.json ? preview.json.text(indented: true) : near(preview.text))
    }
    var run = batch
    let report = try run.run(progress: console.progress())
    for result in report.results where result.status == .done {
      console.published(result.output, sha256: result.sha256)
    }
    print(shared.json ? report.json.text(indented: true) : near(report.text))
    if report.isInterrupted { throw Interrupted() }
    if report.hasFailures { throw BatchFailure(failed: report.count(.failed), of: report.results.count) }
    if report.hasFailedGates { throw BatchGateFailure(count: report.count(.gateFailed)) }
  }

  /// `text` with paths as they are from here: a batch itself works with whole ones.
  private func near(_ text: String) -> String {
    guard let folder = try? Machine.currentFolder(), folder != "/" else { return text }
    return text.replacing(folder + "/", with: "")
  }

  /// - Throws: `ManifestError` for what is wrong with the manifest itself.
  private func read(_ options: BatchOptions, _ console: Console) throws -> (BatchManifest, BatchRun) {
    do {
      let manifest = try BatchManifest(reading: manifest)
      return (manifest, try BatchRun(manifest, options) { console.say(near($0)) })
    } catch let error as InputError {
      throw ManifestError(error: error)
    }
  }
}

/// The manifest asks for what cannot be: wrong usage.
struct ManifestError: Error, CustomStringConvertible {
  let error: InputError
  var description: String { error.description }
}

/// Jobs failed; each was named.
struct BatchFailure: Error, CustomStringConvertible {
  let failed: Int
  let of: Int
  var description: String { "\(failed) of \(of) jobs failed; the same command tries them again" }
}

/// All is done but what gates refused.
struct BatchGateFailure: Error, CustomStringConvertible {
  let count: Int
  var description: String { count == 1 ? "a job failed its gates" : "\(count) jobs failed their gates" }
}

extension BatchReport {
  /// A row a job.
  var text: String {
    var table = TextTable(columns: ["job", "status", "MB", "mean KLD", "seconds", "output"])
    for result in results {
      table.add([
        result.job.name, result.status.rawValue, result.bytes.map { decimals(Double($0) / 1e6, 1) } ?? "",
        result.divergence.map { decimals($0, 6) } ?? "", decimals(result.seconds, 1), printable(result.output),
      ])
    }
    let problems = results.compactMap { result in
      result.problem.map { "\(result.job.name): \($0)" + (result.log.map { "\n  log: \(printable($0))" } ?? "") }
    }
    return ([table.text] + problems + ["reports: \(printable(index))"]).joined(separator: "\n")
  }
}

extension BatchPreview {
  var text: String {
    var table = TextTable(columns: ["job", "status", "bytes", "seconds", "threads", "memory", "output"])
    for row in rows {
      table.add([
        row.name, row.reason, row.bytes.map { "\($0)" } ?? "", row.seconds.map { decimals($0, 1) } ?? "",
        "\(row.threads)", ByteSize(bytes: row.memory).description, printable(row.output),
      ])
    }
    var lines = [table.text, ""]
    for row in rows {
      if let problem = row.problem { lines.append("\(row.name): cannot be done: \(problem)") }
      for command in row.commands { lines.append(command.map(shellWord).joined(separator: " ")) }
    }
    for folder in folders {
      lines.append(
        "\(printable(folder.folder)): \(folder.needed) bytes are needed, \(folder.free) are free"
          + (folder.needed > folder.free ? ": too few" : ""))
    }
    lines.append("about \(decimals(seconds, 0)) s in all, by \(basis); nothing was run")
    return lines.joined(separator: "\n")
  }

  /// As a shell would have to be given it.
  private func shellWord(_ word: String) -> String {
    let isPlain = word.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"):
        true
      default: "-_./=,:@%+".utf8.contains(byte)
      }
    }
    return isPlain && !word.isEmpty
      ? word : "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: #"'\''"#) + "'"
  }
}

public import Bytes

/// How a job ended in one run of the batch.
public struct BatchResult: Sendable {
  public enum Status: String, Sendable {
    case done
    /// It was done before: nothing was run.
    case upToDate = "up_to_date"
    case gateFailed = "gate_failed"
    case failed
    case interrupted
  }

  public let job: BatchJob
  public var status: Status
  /// Of the step that ended it.
  public var exitCode: Int?
  /// Why it is not done.
  public var problem: String?
  public var seconds = 0.0
  /// Where its standard error went, and its report if there is one.
  public var log: String?
  public var report: String?
  var record: BatchRecord?

  /// The file to open, where it is now.
  public var output: String { status == .gateFailed ? job.unproved : record?.files.first?.path ?? job.output }
  public var bytes: Int? { isMade ? record?.made.bytes : nil }
  public var sha256: String? { isMade ? record?.made.sha256 : nil }
  public var divergence: Double? { isMade ? record?.proof?.divergence : nil }
  private var isMade: Bool { status == .done || status == .upToDate || status == .gateFailed }

  var json: JSONText {
    var members: [(String, JSONText)] = [
      ("name", .string(job.name)), ("model", .string(job.model)), ("recipe", .string(job.recipe)),
      ("status", .string(status.rawValue)), ("exit_code", exitCode.map { .int($0) } ?? .null),
      ("problem", problem.map { .string($0) } ?? .null), ("output", .string(output)),
      ("file_bytes", bytes.map { .int($0) } ?? .null),
      ("sha256", sha256.map { .string($0) } ?? .null), ("seconds", .double(seconds)),
    ]
    if isMade, let proof = record?.proof { members += proof.members }
    return .object(
      members + [("report", report.map { .string($0) } ?? .null), ("log", log.map { .string($0) } ?? .null)])
  }
}

/// What a run of a batch did.
public struct BatchReport: Sendable {
  public let manifest: String
  public let results: [BatchResult]
  public let seconds: Double
  /// The page that links the jobs' reports.
  public let index: String

  /// Whether no job is left for the next run, or only what gates refused.
  public var isInterrupted: Bool { results.contains { $0.status == .interrupted } }
  public var hasFailures: Bool { results.contains { $0.status == .failed } }
  public var hasFailedGates: Bool { results.contains { $0.status == .gateFailed } }

  public func count(_ status: BatchResult.Status) -> Int { results.count { $0.status == status } }

  public var json: JSONText {
    .object([
      ("manifest", .string(manifest)), ("jobs", .array(results.map(\.json))), ("seconds", .double(seconds)),
      ("index", .string(index)),
    ])
  }

  /// A page with a row a job. It needs nothing but itself; links lead to the reports beside it.
  package var html: String {
    let title = "Batch \(OutputFile.split(manifest).name)"
    return Markup.page(title: title, version: Version.current) { body in
      body.element("header", ["class": "top"]) { top in
        top.element("div") { top in
          top.element("p", ["class": "kind"], "quern batch")
          top.element("h1", title)
        }
      }
      body.element("main") { main in
        main.scrolling("Jobs") { box in box.element("table") { addTable(to: &$0) } }
      }
      body.element("footer") { $0.element("div", "Made by quern \(Version.current).") }
    }
  }

  private func addTable(to table: inout Markup) {
    table.element("thead") { head in
      head.element("tr") { row in
        for name in ["job", "status", "output", "MB", "mean KL divergence", "SHA-256"] { row.element("th", name) }
      }
    }
    table.element("tbody") { body in
      for result in results {
        body.element("tr") { row in
          row.element("th", ["scope": "row"]) { cell in
            if let report = result.report {
              // A relative address: it begins with no colon, since names of jobs have none.
              cell.element("a", ["href": OutputFile.split(report).name], result.job.name)
            } else {
              cell.text(result.job.name)
            }
          }
          row.element("td", result.status.rawValue + (result.problem.map { ": \($0)" } ?? ""))
          row.element("td", OutputFile.split(result.output).name)
          row.element("td", ["class": "n"], result.bytes.map { decimals(Double($0) / 1e6, 1) } ?? "")
          row.element("td", ["class": "n"], result.divergence.map { decimals($0, 6) } ?? "")
          row.element("td") { $0.element("code", result.record?.made.sha256 ?? "") }
        }
      }
    }
  }
}

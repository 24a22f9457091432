public import Bytes

/// What a check found.
public struct CheckReport: Sendable {
  /// As it was given.
  public let file: String
  /// Whose rules were asked, if anybody's.
  public let consumer: String?
  var findings = Findings()
  /// What is worth knowing and no fault.
  public internal(set) var notes: [String] = []
  public internal(set) var tensors = 0
  /// The files that were read, all of a set.
  public internal(set) var files: [WrittenFile] = []
  /// Where the published digests were read.
  public internal(set) var published: String?

  init(file: String, consumer: String?) { (self.file, self.consumer) = (file, consumer) }

  public var passed: Bool { findings.list.isEmpty }
  /// Of all findings, those that are not listed among them.
  public var count: Int { findings.list.count + findings.omitted }
  public var list: [Finding] { findings.list }
  public var bytes: Int { files.reduce(0) { $0 + $1.bytes } }

  public var json: JSONText {
    .object([
      ("file", .string(file)), ("passed", .bool(passed)), ("for", consumer.map { .string($0) } ?? .null),
      ("findings", .array(findings.list.map(\.json))), ("findings_omitted", .int(findings.omitted)),
      ("tensors", .int(tensors)), ("bytes", .int(bytes)),
      ("sha256", files.count == 1 ? .string(files[0].sha256) : .null), ("files", .array(files.map(\.json))),
      ("published", published.map { .string($0) } ?? .null), ("notes", .array(notes.map { .string($0) })),
    ])
  }

  /// Findings a line each, then what was asked.
  public var text: String {
    var lines = findings.list.map(\.text)
    if findings.omitted > 0 { lines.append("and \(findings.omitted) more") }
    lines += notes.map { "note: \(printable($0, limit: 400))" }
    let asked =
      [consumer.map { "as \($0) wants it" }, published.map { "as \(printable(ProofFacts.name($0))) says" }]
      .compactMap(\.self).joined(separator: ", ")
    lines.append(
      "\(printable(file)): \(passed ? "sound" : "\(count) finding\(count == 1 ? "" : "s")"), \(tensors) tensors, \(megabytes(bytes))"
        + (files.count > 1 ? " in \(files.count) files" : "") + (asked.isEmpty || !passed ? "" : "; \(asked)"))
    for file in files { lines.append("sha256 \(file.sha256)" + (files.count > 1 ? "  \(printable(file.path))" : "")) }
    return lines.joined(separator: "\n")
  }
}

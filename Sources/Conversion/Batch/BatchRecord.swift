import Bytes

/// What is known of a job's output, kept in the state folder: what it was made from, which files it is, and how it was proved.
struct BatchRecord {
  var conversion: RunIdentity
  /// As they were made; their paths are the final ones.
  var files: [FileStamp]
  /// What `quern convert` said of them.
  var made: Made
  /// Nothing where it was not proved yet.
  var proof: Proof?
  /// The files under the final names, that this job may replace.
  var published: [FileStamp]

  struct Made: Hashable {
    var sha256: String?
    var bytes = 0
    var bitsPerWeight = 0.0
    var bytesRead = 0
    var seconds = 0.0
  }

  struct Proof {
    var identity: RunIdentity
    var passed: Bool
    var seconds: Double
    /// Of what `quern verify` said.
    var perplexity: Double?
    var reference: Double?
    var divergence: Double?
    var topOne: Double?
    var gates: [String] = []
  }

  static func identity(converting job: BatchJob) throws -> RunIdentity {
    let files = try job.conversionFiles.map { ($0, try FileStamp.text(of: $0)) }
    return [
      ("version", Version.current), ("output", job.output), ("flags", job.conversion.joined(separator: "\n")),
      ("model", try FileStamp.text(of: job.input)),
    ] + files
  }

  static func identity(proving job: BatchJob) throws -> RunIdentity {
    [("version", Version.current), ("flags", (job.proof ?? []).joined(separator: "\n"))]
      + (try job.proofFiles.map { ($0, try FileStamp.text(of: $0)) })
  }

  /// What is other in `a` than in `b`; `nil` when nothing is.
  static func change(_ a: RunIdentity, _ b: RunIdentity) -> String? {
    a.differences(from: b).first ?? (a.count == b.count ? nil : "files")
  }

  // MARK: As a file

  private static let limit = 1 << 20

  /// `nil` when there is none, or none that can be read: then the job is done anew.
  init?(reading path: String) {
    guard (try? SystemCalls.status(at: path)) != nil,
      let document = try? JSONDocument(reading: path, limit: BatchRecord.limit)
    else { return nil }
    try? self.init(document.root)
  }

  init(
    conversion: RunIdentity, files: [FileStamp], made: Made, proof: Proof? = nil, published: [FileStamp]
  ) {
    (self.conversion, self.files, self.made) = (conversion, files, made)
    (self.proof, self.published) = (proof, published)
  }

  private init(_ json: JSONValue) throws {
    conversion = try BatchRecord.identity(json.required("conversion"))
    files = try json.required("files").elements().map { try FileStamp($0) }
    published = try json.required("published").elements().map { try FileStamp($0) }
    let made = try json.required("made")
    self.made = Made(
      sha256: try made.optional("sha256")?.string(), bytes: try made.required("file_bytes").int(),
      bitsPerWeight: try made.required("bits_per_weight").double(), bytesRead: try made.required("bytes_read").int(),
      seconds: try made.required("seconds").double())
    proof = try json.optional("proof").map { proof in
      func number(_ key: String) throws -> Double? { try proof.optional(key)?.double() }
      return Proof(
        identity: try BatchRecord.identity(proof.required("identity")), passed: try proof.required("passed").bool(),
        seconds: try proof.required("seconds").double(), perplexity: try number("perplexity_quantized"),
        reference: try number("perplexity_reference"), divergence: try number("mean_kld"),
        topOne: try number("top1_agreement"),
        gates: try proof.required("failed_gates").elements().map { try $0.string() })
    }
  }

  private static func identity(_ json: JSONValue) throws -> RunIdentity {
    try json.elements().map { (try $0.required("name").string(), try $0.required("value").string()) }
  }

  private static func json(_ identity: RunIdentity) -> JSONText {
    .array(identity.map { .object([("name", .string($0.name)), ("value", .string($0.value))]) })
  }

  private var json: JSONText {
    .object([
      ("conversion", BatchRecord.json(conversion)), ("files", .array(files.map(\.json))),
      (
        "made",
        .object([
          ("sha256", made.sha256.map { .string($0) } ?? .null), ("file_bytes", .int(made.bytes)),
          ("bits_per_weight", .double(made.bitsPerWeight)), ("bytes_read", .int(made.bytesRead)),
          ("seconds", .double(made.seconds)),
        ])
      ),
      (
        "proof",
        proof.map { proof in
          .object(
            [
              ("identity", BatchRecord.json(proof.identity)), ("passed", .bool(proof.passed)),
              ("seconds", .double(proof.seconds)),
            ] + proof.members + [("failed_gates", .array(proof.gates.map { .string($0) }))])
        } ?? .null
      ), ("published", .array(published.map(\.json))),
    ])
  }

  func write(to path: String) throws {
    try OutputFile.write(json.text(indented: true) + "\n", to: path)
  }
}

extension BatchRecord.Proof {
  /// Why the output of `job` does not get its name.
  func refusal(_ job: BatchJob) -> String { gates.joined(separator: "; ") + "; the file is at \(job.unproved)" }

  var members: [(String, JSONText)] {
    [
      ("perplexity_reference", reference.map { .double($0) } ?? .null),
      ("perplexity_quantized", perplexity.map { .double($0) } ?? .null),
      ("mean_kld", divergence.map { .double($0) } ?? .null), ("top1_agreement", topOne.map { .double($0) } ?? .null),
    ]
  }
}

public import Bytes

/// Something that a check found wrong with a file.
public struct Finding: Hashable, Sendable {
  /// The law that is broken. Raw values are stable; what begins with a consumer's name is a law of that consumer.
  public enum Rule: String, Sendable, CaseIterable {
    /// The header, the sizes and offsets, or the files of a set.
    case structure
    /// A scale, a minimum or a plain weight that is infinite or NaN.
    case finite
    /// What the architecture needs: keys, tensors, shapes.
    case model
    /// What the tokenizer needs.
    case tokenizer
    /// Bytes that are not the published ones.
    case digest
    /// What the file does not share with the model that it is compared with.
    case source
    case llamaKey = "llama.cpp/key"
    case llamaLayout = "llama.cpp/layout"
    case llamaSet = "llama.cpp/set"
    case llamaTensor = "llama.cpp/tensor"
    case llamaTokenizer = "llama.cpp/tokenizer"
    case ollamaKind = "ollama/kind"
    case ollamaPath = "ollama/path"
    case ollamaSet = "ollama/set"
  }

  public var rule: Rule
  /// The tensor, the key or the file.
  public var subject: String?
  /// What was expected and what was found.
  public var problem: String
  /// What to do about it.
  public var remedy: String?

  public init(_ rule: Rule, _ subject: String?, _ problem: String, remedy: String? = nil) {
    (self.rule, self.subject, self.problem, self.remedy) = (rule, subject, problem, remedy)
  }

  /// What a reader refused.
  /// - Parameter path: of the file that is checked; another one is named.
  init(_ rule: Rule, _ error: InputError, in path: String) {
    let place = error.offset.map { "at byte \($0): " } ?? ""
    let file = error.file.flatMap { $0 == path ? nil : ProofFacts.name($0) + ": " } ?? ""
    self.init(
      rule, error.subject, "\(file)\(place)\(error.problem) [\(error.code.rawValue)]", remedy: error.remedy)
  }

  public var json: JSONText {
    .object([
      ("rule", .string(rule.rawValue)), ("subject", subject.map { .string($0) } ?? .null),
      ("problem", .string(problem)), ("remedy", remedy.map { .string($0) } ?? .null),
    ])
  }

  /// One line; what comes from outside is escaped.
  public var text: String {
    "\(rule.rawValue): " + (subject.map { "\(printable($0)): " } ?? "") + printable(problem, limit: 400)
      + (remedy.map { "; " + printable($0, limit: 400) } ?? "")
  }
}

/// Findings, of which no more are kept than anybody reads.
struct Findings: Sendable {
  private(set) var list: [Finding] = []
  /// How many there were beyond those that are kept.
  private(set) var omitted = 0

  static let limit = 1000

  mutating func add(_ finding: Finding) {
    if list.count < Findings.limit { list.append(finding) } else { omitted += 1 }
  }

  mutating func add(_ rule: Finding.Rule, _ subject: String?, _ problem: String, remedy: String? = nil) {
    add(Finding(rule, subject, problem, remedy: remedy))
  }

  mutating func add(_ findings: [Finding]) { for finding in findings { add(finding) } }

  /// What `body` returns, or `nil` and a finding when it refuses its input.
  mutating func catching<Value>(_ rule: Finding.Rule, in path: String, _ body: () throws -> Value) throws -> Value? {
    do {
      return try body()
    } catch let error as InputError {
      // A file that was changed meanwhile is no bad file.
      if error.code == .changed { throw error }
      add(Finding(rule, error, in: path))
      return nil
    }
  }
}

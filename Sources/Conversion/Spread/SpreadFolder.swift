import Bytes
import Crypto

/// A folder that tells tasks what to do and keeps what they did.
///
/// `plan.json` is the plan; `calibrate-0.json`, `convert-0.json` and so on say that a task has ended and what it made;
/// `slice-0` and so on are the Hessians of slices of text, `hessian` their sums while blocks are rounded; `finished.json` says
/// what was published.
public struct SpreadFolder: Sendable {
  public let path: String
  public let plan: SpreadPlan
  /// Of the plan: results of another one do not count.
  private let planHash: String

  private static let limit = 16 << 20

  /// Opens the folder of a plan.
  /// - Throws: `MISSING` when there is none; what `SpreadPlan` refuses.
  public init(reading path: String) throws {
    let file = "\(path)/plan.json"
    let bytes = try RandomAccessFile(file).readAll(limit: SpreadFolder.limit)
    (self.path, plan) = (path, try SpreadPlan(parsing: bytes, file: file))
    planHash = SpreadFolder.hash(bytes)
  }

  /// Writes a plan to a folder, which is made if it is not there.
  /// - Parameter overwrites: whether another plan may be replaced, with all that its tasks have noted.
  public init(writing plan: SpreadPlan, to path: String, overwrites: Bool) throws {
    try SystemCalls.makeFolder(path)
    let text = plan.json.text(indented: true) + "\n"
    (self.path, self.plan, planHash) = (path, plan, SpreadFolder.hash(Array(text.utf8)))
    try OutputFile.write(text, to: "\(path)/plan.json", overwrites: overwrites)
  }

  private static func hash(_ bytes: [UInt8]) -> String { RunState.hash { $0.update(data: bytes) } }

  func slicePath(_ slice: Int) -> String { "\(path)/slice-\(slice)" }
  var sumPath: String { "\(path)/hessian" }

  // MARK: Results

  /// Notes that a task has ended.
  /// - Parameter pieces: of the output.
  func note(_ stage: SpreadPlan.Stage, _ task: Int, _ pieces: [OutputPiece], _ facts: [(String, JSONText)]) throws {
    try note("\(stage.rawValue)-\(task).json", pieces, [("task", .int(task))] + facts)
  }

  private func note(_ name: String, _ pieces: [OutputPiece], _ facts: [(String, JSONText)]) throws {
    let json = JSONText.object(
      [("plan", .string(planHash)), ("pieces", .array(pieces.map(\.json)))] + facts)
    try OutputFile.write(json.text(indented: true) + "\n", to: "\(path)/\(name)")
  }

  /// What a task noted; `nil` when it has not ended, or the plan is another since.
  func result(_ stage: SpreadPlan.Stage, _ task: Int) throws -> [OutputPiece]? {
    try result("\(stage.rawValue)-\(task).json")
  }

  private func result(_ name: String) throws -> [OutputPiece]? {
    let file = "\(path)/\(name)"
    guard try SystemCalls.status(at: file) != nil else { return nil }
    let root = try JSONDocument(parsing: RandomAccessFile(file).readAll(limit: SpreadFolder.limit), file: file).root
    guard try root.required("plan").string("plan") == planHash else { return nil }
    return try root.required("pieces").elements("pieces").map { try OutputPiece($0) }
  }

  func forget(_ stage: SpreadPlan.Stage, _ task: Int) throws {
    try SystemCalls.unlink("\(path)/\(stage.rawValue)-\(task).json")
  }

  /// Tasks of a stage that have not ended.
  public func missing(_ stage: SpreadPlan.Stage) throws -> [Int] {
    try (0..<plan.taskCount(stage)).filter { try result(stage, $0) == nil }
  }

  /// The published files, each as one piece; `nil` when they are not published yet.
  func finished() throws -> [OutputPiece]? { try result("finished.json") }

  func noteFinished(_ pieces: [OutputPiece]) throws { try note("finished.json", pieces, []) }
}

extension OutputPiece {
  fileprivate var json: JSONText {
    .object([
      ("file", .int(file)), ("start", .int(bytes.lowerBound)), ("end", .int(bytes.upperBound)),
      ("sha256", .string(sha256)),
    ])
  }

  fileprivate init(_ json: JSONValue) throws(InputError) {
    let start = try json.required("start").int(in: 0...Int.max, "start")
    let end = try json.required("end").int(in: start...Int.max, "end")
    self.init(
      file: try json.required("file").int("file"), bytes: start..<end,
      sha256: try json.required("sha256").string("sha256"))
  }
}

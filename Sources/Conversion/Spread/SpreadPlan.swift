import Bytes
import Crypto

/// A conversion cut into tasks for any number of processes, on one machine or on several that see the same files.
///
/// Tasks of a stage may run in any order and at once. What they make together is byte for byte the file of one process,
/// whatever their number.
public struct SpreadPlan: Sendable {
  /// What tasks do, in the order in which the stages follow one another.
  public enum Stage: String, CaseIterable, Sendable {
    /// Sums Hessians over slices of the calibration text.
    case calibrate
    /// Writes a part of the output.
    case convert
  }

  /// Arguments of the command that planned, without its name, and the folder that their paths are relative to.
  public let arguments: [String]
  public let folder: String
  /// As given on the command line.
  public let output: String
  /// What decides the output, as `RunState` knows a run again.
  let identity: RunIdentity
  /// The slices of text that a task takes, of each task; empty where nothing is calibrated.
  public let slices: [Range<Int>]
  /// The part of the output that a task writes, its files counted through, of each task.
  public let shares: [Range<Int>]

  /// - Parameters:
  ///   - tasks: at most so many a stage; fewer where there is less to share.
  ///   - sliceCount: slices of calibration text. Hessians are summed slice by slice, so that their number shows in the last
  ///     bits of the sums, and that of the tasks does not.
  public init(
    _ work: SpreadWork, arguments: [String], folder: String, output: String, tasks: Int, sliceCount: Int
  ) {
    (self.arguments, self.folder, self.output) = (arguments, folder, output)
    identity = work.identity
    let count = min(sliceCount, work.text?.chunkCount ?? 0)
    let takers = min(tasks, count)
    slices = (0..<takers).map { $0 * count / takers..<($0 + 1) * count / takers }
    shares = work.plan.shares(tasks, withFeedback: work.rounding.feedback != nil)
  }

  /// Stages that have tasks.
  public var stages: [Stage] { Stage.allCases.filter { taskCount($0) > 0 } }

  public func taskCount(_ stage: Stage) -> Int { stage == .calibrate ? slices.count : shares.count }

  /// Slices of the calibration text.
  var sliceCount: Int { slices.last?.upperBound ?? 0 }

  /// - Throws: `CHANGED`, naming what differs, when `work` is not what was planned; `BOUNDS` for tasks that no plan has.
  func check(_ work: SpreadWork, file: String) throws(InputError) {
    let different = work.identity.differences(from: identity)
    guard different.isEmpty else {
      throw InputError(
        .changed, "since it was planned, these have changed: \(different.joined(separator: ", "))", file: file,
        remedy: "plan again")
    }
    let cuts = Set(work.plan.cutPositions(withFeedback: work.rounding.feedback != nil))
    guard shares.last?.upperBound == work.plan.fileBytes, shares.allSatisfy({ cuts.contains($0.lowerBound) }),
      sliceCount <= work.text?.chunkCount ?? 0, slices.isEmpty == (work.text == nil)
    else {
      throw InputError(
        .bounds, "tasks that are not parts of this conversion", file: file, remedy: "plan again")
    }
  }
}

extension SpreadPlan {
  private static let version = 1

  var json: JSONText {
    func ranges(_ ranges: [Range<Int>]) -> JSONText {
      .array(ranges.map { .array([.int($0.lowerBound), .int($0.upperBound)]) })
    }
    return .object([
      ("quern_plan", .int(SpreadPlan.version)), ("folder", .string(folder)),
      ("arguments", .array(arguments.map(JSONText.string))), ("output", .string(output)),
      ("identity", .object(identity.map { ($0.name, .string($0.value)) })), ("slices", ranges(slices)),
      ("shares", ranges(shares)),
    ])
  }

  /// - Throws: `JSON`, `VERSION`, `MISSING`, `TYPE`, `LIMIT`, `GAP` for parts that do not join.
  init(parsing bytes: [UInt8], file: String) throws(InputError) {
    let root = try JSONDocument(parsing: bytes, file: file).root
    guard try root.required("quern_plan").int("quern_plan") == SpreadPlan.version else {
      throw InputError(.version, "a plan of another version", file: file, remedy: "plan again with this version")
    }
    func strings(_ key: String) throws(InputError) -> [String] {
      try root.required(key).elements(key).map { value throws(InputError) in try value.string(key) }
    }
    func ranges(_ key: String) throws(InputError) -> [Range<Int>] {
      var ranges: [Range<Int>] = []
      for element in try root.required(key).elements(key) {
        let ends = Array(try element.elements(key))
        guard ends.count == 2, case let start = try ends[0].int(key), case let end = try ends[1].int(key),
          start == ranges.last?.upperBound ?? 0, end > start
        else { throw InputError(.gap, "ranges that do not join", file: file, subject: key, remedy: "plan again") }
        ranges.append(start..<end)
      }
      return ranges
    }
    (folder, output) = (try root.required("folder").string("folder"), try root.required("output").string("output"))
    arguments = try strings("arguments")
    identity = try root.required("identity").members("identity").map { member throws(InputError) in
      (name: try member.key.string(), value: try member.value.string())
    }
    (slices, shares) = (try ranges("slices"), try ranges("shares"))
    guard !shares.isEmpty else {
      throw InputError(.missing, "no task", file: file, subject: "shares", remedy: "plan again")
    }
  }
}

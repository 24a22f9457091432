import Bytes
import Quantization
import Tensors

/// The factors of one Hessian; weights whose columns are ordered alike share one, and all of them the correction.
struct SharedFactors {
  enum Result {
    case factor(FeedbackFactor)
    /// There is none, for the reason told.
    case none(String)
  }

  private let hessian: Hessian?
  private let options: FeedbackOptions
  private let jobs: Int
  private var known: [ColumnGroups: Result] = [:]
  private var first: FeedbackFactor?

  init(_ hessian: Hessian?, _ options: FeedbackOptions, _ jobs: Int) {
    (self.hessian, self.options, self.jobs) = (hessian, options, jobs)
  }

  subscript(groups: ColumnGroups) -> Result {
    mutating get throws {
      if let result = known[groups] { return result }
      let result = try make(groups)
      known[groups] = result
      if case .factor(let factor) = result, first == nil { first = factor }
      return result
    }
  }

  private func make(_ groups: ColumnGroups) throws -> Result {
    guard let hessian else { return .none("no token of the calibration text reaches it") }
    guard Double(hessian.tokens) >= options.tokensPerColumn * Double(hessian.size) else {
      return .none("\(hessian.tokens) tokens of the calibration text reach it, too few for \(hessian.size) columns")
    }
    let factor = try FeedbackFactor(
      hessian, for: groups, damping: options.damping, isOrdered: options.isOrdered, asymmetry: options.asymmetry,
      sharing: first, jobs: jobs)
    if let factor { return .factor(factor) }
    return .none(
      hessian.diagonal.contains { $0 > 0 }
        ? "the Hessian of its inputs has no factor" : "its inputs are zero for the whole calibration text")
  }

  /// Of plain rounding: the mean squares of the inputs, or all alike where there are none.
  func importance(_ columns: Int) -> [Float] {
    guard let hessian, hessian.tokens > 0 else { return [Float](repeating: 1, count: columns) }
    let diagonal = hessian.diagonal
    guard diagonal.contains(where: { $0 > 0 }) else { return [Float](repeating: 1, count: columns) }
    return diagonal.map { $0 / Float(hessian.tokens) }
  }
}

/// A matrix that was rounded plainly although feedback was asked for.
public struct FeedbackFallback: Hashable, Sendable {
  public let tensor: String
  /// Of a stack of experts, which one.
  public let expert: Int?
  public let reason: String

  /// For people.
  public var line: String {
    "\(printable(tensor))\(expert.map { ", expert \($0)" } ?? ""): \(reason); rounded without feedback"
  }

  public var json: JSONText {
    .object(
      [("tensor", .string(tensor))] + (expert.map { [("expert", .int($0))] } ?? []) + [("reason", .string(reason))])
  }
}

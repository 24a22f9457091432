import Bytes
import Models

/// Limits that a model must keep to be published.
public struct Gates: Hashable, Sendable {
  /// What can be limited; its raw value is the name in files, reports and on the command line.
  public enum Kind: String, CaseIterable, Sendable {
    /// Of the mean KL divergence, in nats.
    case maximumKLD = "max-kld"
    /// Of the 99th percentile of the KL divergence, in nats.
    case maximumP99KLD = "max-p99-kld"
    /// Of the share of positions where both put the same token first.
    case minimumTop1 = "min-top1"
    /// Of the perplexity over the reference's.
    case maximumPerplexityRatio = "max-ppl-ratio"
    /// Of the relative RMS error of the hidden state after the layer where it is greatest.
    case maximumLayerError = "max-layer-error"
    /// Of the number of parameters that are computed with and in which the models differ. Asked whenever another gate is,
    /// with a limit of 0 unless one is given: such a model is wrong even where the text does not show it.
    case maximumDifferences = "max-differences"

    var isMinimum: Bool { self == .minimumTop1 }

    /// The limits that mean something.
    var range: ClosedRange<Double> { isMinimum ? 0...1 : 0...1e9 }
  }

  private var limits: [Kind: Double] = [:]

  public init() {}

  public subscript(kind: Kind) -> Double? {
    get { limits[kind] }
    set { limits[kind] = newValue }
  }

  /// Sets a limit that came from outside.
  /// - Throws: `LIMIT` when it is not a number that can be kept or broken.
  public mutating func set(_ kind: Kind, _ limit: Double) throws(InputError) {
    guard kind.range.contains(limit) else {
      throw InputError(
        .limit, "a number from 0 to \(kind.isMinimum ? "1" : "1000000000") expected, found \(limit)",
        subject: kind.rawValue)
    }
    limits[kind] = limit
  }

  /// What a gate said.
  public struct Result: Sendable {
    public var name: String
    public var limit: Double
    public var value: Double
    public var passed: Bool
  }

  /// A gate that fails whatever the tokens still to be scored show: no divergence is below zero.
  /// - Parameter count: of tokens in all.
  func certainFailure(_ drift: Drift, of count: Int) -> Kind? {
    if let limit = limits[.maximumKLD], drift.leastMeanDivergence(of: count) > limit { return .maximumKLD }
    if let limit = limits[.minimumTop1], drift.greatestTopOneAgreement(of: count) < limit { return .minimumTop1 }
    return nil
  }

  /// - Parameter differences: from the reference; `nil` where that is no model, and then nobody asks for them.
  func results(
    for drift: Drift, layers: [DriftReport.LayerRow], differences: [DriftReport.ParameterDifference]?
  ) -> [Result] {
    var limits = limits
    if differences != nil, !limits.isEmpty, limits[.maximumDifferences] == nil { limits[.maximumDifferences] = 0 }
    return Kind.allCases.compactMap { kind in
      guard let limit = limits[kind] else { return nil }
      let value =
        switch kind {
        case .maximumKLD: drift.meanDivergence
        case .maximumP99KLD: drift.divergencePercentiles([0.99])[0]
        case .minimumTop1: drift.topOneAgreement
        case .maximumPerplexityRatio: drift.quantized.perplexity / drift.reference.perplexity
        // A value that is not a number is the greatest of all, and passes no gate.
        case .maximumLayerError:
          layers.map(\.relativeRMSError).first(where: \.isNaN) ?? layers.map(\.relativeRMSError).max() ?? .nan
        case .maximumDifferences: differences.map { Double($0.filter(\.isComputedWith).count) } ?? .nan
        }
      return Result(
        name: kind.rawValue, limit: limit, value: value, passed: kind.isMinimum ? value >= limit : value <= limit)
    }
  }
}

/// The run finished and a gate said no.
public struct GateFailure: Error, Sendable, CustomStringConvertible {
  public struct Failed: Sendable {
    /// Where there are several.
    public var candidate: String?
    public var gate: Gates.Result
  }

  public var failed: [Failed]

  public var description: String {
    failed.map {
      "gate \($0.gate.name) failed\($0.candidate.map { " for \($0)" } ?? ""): \(Figures.plain($0.gate.value)) "
        + "where the limit is \(Figures.plain($0.gate.limit))"
    }.joined(separator: "; ")
  }
}

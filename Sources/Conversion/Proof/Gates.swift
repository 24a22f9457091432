import Models

/// Limits that a model must keep to be published.
public struct Gates: Sendable {
  private let limits: [(name: String, limit: Double, isMinimum: Bool, value: @Sendable (Drift) -> Double)]

  public init(maximumKLD: Double? = nil, minimumTop1: Double? = nil, maximumPerplexityRatio: Double? = nil) {
    var limits: [(String, Double, Bool, @Sendable (Drift) -> Double)] = []
    if let maximumKLD { limits.append(("max-kld", maximumKLD, false, { $0.meanDivergence })) }
    if let minimumTop1 { limits.append(("min-top1", minimumTop1, true, { $0.topOneAgreement })) }
    if let maximumPerplexityRatio {
      limits.append(
        (
          "max-ppl-ratio", maximumPerplexityRatio, false, { $0.quantized.perplexity / $0.reference.perplexity }
        ))
    }
    self.limits = limits
  }

  /// What a gate said.
  public struct Result: Sendable {
    public var name: String
    public var limit: Double
    public var value: Double
    public var passed: Bool
  }

  func results(for drift: Drift) -> [Result] {
    limits.map { gate in
      let value = gate.value(drift)
      return Result(
        name: gate.name, limit: gate.limit, value: value,
        // A value that is not a number passes no gate.
        passed: gate.isMinimum ? value >= gate.limit : value <= gate.limit)
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
      "gate \($0.gate.name) failed\($0.candidate.map { " for \($0)" } ?? ""): \(decimals($0.gate.value, 6)) "
        + "where the limit is \(decimals($0.gate.limit, 6))"
    }.joined(separator: "; ")
  }
}

/// How a model's choice follows from the likelihoods of an item's choices.
public enum TaskMeasure: String, Sendable, CaseIterable {
  /// The largest `Σ ln p` of the choice's tokens: lm-eval's `acc`.
  case accuracy = "acc"
  /// The same divided by the choice's length in characters: lm-eval's `acc_norm`.
  case byCharacters = "acc_norm"
  /// By its length in bytes of UTF-8: lm-eval's `acc_bytes`.
  case byBytes = "acc_bytes"
  /// The largest mean of `ln p` over the tokens behind those that all choices begin with: what `llama-perplexity` does
  /// for `--hellaswag`, `--multiple-choice` and `--winogrande`.
  case byTokens = "acc_token"
}

/// What one model makes of one item.
public struct ItemScores: Sendable {
  /// By choice: `Σ ln p` of the continuation, and the mean of `ln p` behind the common tokens.
  public let logLikelihoods, tokenMeans: [Double]
  /// The index chosen, by measure.
  public let choices: [TaskMeasure: Int]

  /// - Parameter answers: of `SequenceScoring`.
  init(_ plan: [TaskPlan.Choice], _ answers: [[Double]]) {
    let sums = plan.map { choice in answers[choice.sequence][choice.continuation].reduce(0, +) }
    let means = plan.map { choice in
      answers[choice.sequence][choice.distinct].reduce(0, +) / Double(choice.distinct.count)
    }
    (logLikelihoods, tokenMeans) = (sums, means)
    choices = [
      .accuracy: ItemScores.largest(sums),
      .byCharacters: ItemScores.largest(zip(sums, plan).map { $0 / Double($1.characters) }),
      .byBytes: ItemScores.largest(zip(sums, plan).map { $0 / Double($1.bytes) }),
      .byTokens: ItemScores.largest(means),
    ]
  }

  /// The first of the largest.
  private static func largest(_ values: [Double]) -> Int {
    values.indices.dropFirst().reduce(0) { values[$1] > values[$0] ? $1 : $0 }
  }
}

/// One measure over the items of one task, of a model and of the one that it was made from.
public struct TaskTally: Sendable {
  public let measure: TaskMeasure
  public internal(set) var count = 0
  /// Items answered rightly.
  public internal(set) var reference = 0
  public internal(set) var quantized = 0
  /// Items that only the reference answers rightly, and only the other.
  public internal(set) var lost = 0
  public internal(set) var won = 0
  /// Items where both choose the same.
  public internal(set) var same = 0

  init(_ measure: TaskMeasure) { self.measure = measure }

  mutating func add(_ item: TaskItem, reference theirs: ItemScores, quantized ours: ItemScores) {
    guard let a = theirs.choices[measure], let b = ours.choices[measure] else { return }
    let (right, stillRight) = (item.answers.contains(a), item.answers.contains(b))
    count += 1
    reference += right ? 1 : 0
    quantized += stillRight ? 1 : 0
    lost += right && !stillRight ? 1 : 0
    won += !right && stillRight ? 1 : 0
    same += a == b ? 1 : 0
  }

  /// Shares of all items; NaN of none.
  public var referenceAccuracy: Double { Double(reference) / Double(count) }
  public var quantizedAccuracy: Double { Double(quantized) / Double(count) }
  public var sameChoice: Double { Double(same) / Double(count) }

  /// Of a share: `sqrt(p (1 - p) / (n - 1))`, as lm-eval and llama.cpp state it; 0 below two items.
  public func standardError(_ share: Double) -> Double {
    count > 1 ? (share * (1 - share) / Double(count - 1)).squareRoot() : 0
  }

  /// Of the difference of the two accuracies, from the items where it comes from.
  public var differenceStandardError: Double {
    guard count > 1 else { return 0 }
    let mean = Double(won - lost) / Double(count)
    return (max(0, Double(won + lost) / Double(count) - mean * mean) / Double(count - 1)).squareRoot()
  }
}

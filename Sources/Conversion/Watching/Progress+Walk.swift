import Models

extension Progress {
  /// Of a walk through the layers.
  init(_ activity: String, _ walked: Evaluation.Progress) {
    self.init(
      activity, unit: .steps, done: walked.done, total: walked.total,
      work: Work(done: walked.cost, total: walked.totalCost))
  }
}

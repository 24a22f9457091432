import Bytes
import Models

/// Multiple-choice tasks on models and on the one that they were made from.
public struct TaskRun {
  private let candidates: [ModelInput]
  private let reference: ModelInput
  private let tasks: TaskFile
  private let options: WalkOptions
  private let plan: TaskPlan

  /// - Throws: `LIMIT` when an item is longer than the models take, `SHAPE` when the tokenizers cut one differently.
  public init(candidates: [ModelInput], reference: ModelInput, tasks: TaskFile, options: WalkOptions) throws {
    (self.candidates, self.reference, self.tasks, self.options) = (candidates, reference, tasks, options)
    plan = try TaskRun.plan(tasks, for: reference)
    for candidate in candidates { try checkTokens(of: candidate) }
  }

  private func checkTokens(of candidate: ModelInput) throws {
    let other = try TaskRun.plan(tasks, for: candidate)
    guard other != plan else { return }
    let sequence = zip(plan.sequences, other.sequences).enumerated().first { $1.0 != $1.1 }?.offset ?? 0
    let item = plan.choices.firstIndex { $0.contains { $0.sequence == sequence } } ?? 0
    throw InputError(
      .shape, "its tokens of item \(tasks.items[item].id) of \(tasks.path) differ from those of \(reference.path)",
      file: candidate.path, subject: "tokenizer",
      remedy: "the vocabularies or pre-tokenizers differ; compare with the model that it was made from")
  }

  /// One model after the other, the same tokens for all.
  /// - Returns: a report a candidate.
  public func run(progress: ProgressHandler? = nil) throws -> [TaskReport] {
    let theirs = try scores(of: reference, "tasks on the reference", progress)
    return try candidates.enumerated().map { number, candidate in
      let ours = try scores(
        of: candidate, candidates.count > 1 ? "tasks on model \(number + 1)" : "tasks on the model", progress)
      return TaskReport(tasks, candidate: candidate.path, reference: reference.path, theirs, ours)
    }
  }

  private static func plan(_ tasks: TaskFile, for model: ModelInput) throws -> TaskPlan {
    do {
      return try TaskPlan(tasks.items, model.tokenizer, contextLength: model.model.parameters.contextLength)
    } catch let error as InputError {
      throw error.adding(file: tasks.path)
    }
  }

  private func scores(
    of model: ModelInput, _ activity: String, _ progress: ProgressHandler?
  ) throws -> [ItemScores] {
    let pass = try ForwardPass(model.model, jobs: options.jobs, arithmetic: options.arithmetic)
    let answers = try SequenceScoring(plan.sequences, stateBytes: options.stateBytes) { done, total in
      progress?(Progress(activity, unit: .steps, done: done, total: total))
    }.logLikelihoods(of: pass)
    return plan.choices.map { ItemScores($0, answers) }
  }
}

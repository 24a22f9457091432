import Bytes
import Models

/// Multiple-choice tasks on a model and on the one that it was made from.
public struct TaskRun {
  private let candidate: ModelInput
  private let reference: ModelInput
  private let tasks: TaskFile
  private let options: WalkOptions

  public init(candidate: ModelInput, reference: ModelInput, tasks: TaskFile, options: WalkOptions) {
    (self.candidate, self.reference, self.tasks, self.options) = (candidate, reference, tasks, options)
  }

  /// One model after the other, the same tokens for both.
  /// - Throws: `SHAPE` when the tokenizers cut an item differently.
  public func run(progress: ProgressHandler? = nil) throws -> TaskReport {
    let plan = try plan(of: reference)
    try checkTokens(plan)
    let theirs = try scores(of: reference, plan, "tasks on the reference", progress)
    let ours = try scores(of: candidate, plan, "tasks on the model", progress)
    return TaskReport(tasks, candidate: candidate.path, reference: reference.path, theirs, ours)
  }

  private func plan(of model: ModelInput) throws -> TaskPlan {
    do {
      return try TaskPlan(tasks.items, model.tokenizer, contextLength: model.model.parameters.contextLength)
    } catch let error as InputError {
      throw error.adding(file: tasks.path)
    }
  }

  private func checkTokens(_ plan: TaskPlan) throws {
    let other = try self.plan(of: candidate)
    guard other != plan else { return }
    let index = zip(plan.sequences, other.sequences).enumerated().first { $1.0 != $1.1 }?.offset ?? 0
    let item = plan.choices.firstIndex { $0.contains { $0.sequence == index } } ?? 0
    throw InputError(
      .shape,
      "its tokens of item \(tasks.items[item].id) of \(tasks.path) differ from those of \(reference.path)",
      file: candidate.path, subject: "tokenizer",
      remedy: "the vocabularies or pre-tokenizers differ; compare with the model that it was made from")
  }

  private func scores(
    of model: ModelInput, _ plan: TaskPlan, _ activity: String, _ progress: ProgressHandler?
  ) throws -> [ItemScores] {
    let pass = try ForwardPass(model.model, jobs: options.jobs)
    let answers = try SequenceScoring(plan.sequences, stateBytes: options.stateBytes) { done, total in
      progress?(Progress(activity, unit: .steps, done: done, total: total))
    }.logLikelihoods(of: pass)
    return plan.choices.map { ItemScores($0, answers) }
  }
}

public import Bytes

/// What `quern verify --tasks` says.
public struct TaskReport: Sendable {
  /// The items of one benchmark, or of all together.
  public struct Group: Sendable {
    public let task: String
    /// One a measure.
    public internal(set) var tallies = TaskMeasure.allCases.map(TaskTally.init)

    public var count: Int { tallies[0].count }
  }

  public let file: String
  public let format: TaskFile.Format
  public let candidate: String
  public let reference: String
  /// In the order in which the tasks first come in the file.
  public let groups: [Group]
  /// Of all tasks; `nil` when there is one.
  public let all: Group?
  private let items: [TaskItem]
  private let theirs: [ItemScores]
  private let ours: [ItemScores]

  init(
    _ tasks: TaskFile, candidate: String, reference: String, _ theirs: [ItemScores], _ ours: [ItemScores]
  ) {
    var groups: [Group] = []
    var places: [String: Int] = [:]
    var all = Group(task: "all")
    for (index, item) in tasks.items.enumerated() {
      let place = places[item.task] ?? groups.count
      if place == groups.count {
        groups.append(Group(task: item.task))
        places[item.task] = place
      }
      for measure in TaskMeasure.allCases.indices {
        groups[place].tallies[measure].add(item, reference: theirs[index], quantized: ours[index])
        all.tallies[measure].add(item, reference: theirs[index], quantized: ours[index])
      }
    }
    (file, format, items) = (tasks.path, tasks.format, tasks.items)
    (self.candidate, self.reference, self.groups) = (candidate, reference, groups)
    (self.theirs, self.ours, self.all) = (theirs, ours, groups.count > 1 ? all : nil)
  }

  /// Everything, with each item's choices and log-likelihoods.
  public var json: JSONText {
    .object([
      ("model", .string(candidate)), ("file", .string(file)), ("format", .string(format.rawValue)),
      ("items", .int(items.count)),
      ("tasks", .array(groups.map(TaskReport.json))), ("all", all.map(TaskReport.json) ?? .null),
      (
        "choices",
        .array(
          items.indices.map { index in
            .object([
              ("id", .string(items[index].id)), ("task", .string(items[index].task)),
              ("answers", .array(items[index].answers.map { .int($0) })),
              ("reference", TaskReport.json(theirs[index])), ("quantized", TaskReport.json(ours[index])),
            ])
          })
      ),
    ])
  }

  private static func json(_ group: Group) -> JSONText {
    .object(
      [("task", .string(group.task)), ("items", .int(group.count))]
        + group.tallies.map { tally in (tally.measure.rawValue, json(tally)) })
  }

  private static func json(_ tally: TaskTally) -> JSONText {
    .object([
      ("reference", .double(tally.referenceAccuracy)),
      ("reference_standard_error", .double(tally.standardError(tally.referenceAccuracy))),
      ("quantized", .double(tally.quantizedAccuracy)),
      ("quantized_standard_error", .double(tally.standardError(tally.quantizedAccuracy))),
      ("difference", .double(tally.quantizedAccuracy - tally.referenceAccuracy)),
      ("difference_standard_error", .double(tally.differenceStandardError)),
      ("right_to_wrong", .int(tally.lost)), ("wrong_to_right", .int(tally.won)),
      ("same_choice", .double(tally.sameChoice)),
    ])
  }

  private static func json(_ scores: ItemScores) -> JSONText {
    .object(
      TaskMeasure.allCases.map { ($0.rawValue, .int(scores.choices[$0] ?? 0)) } + [
        ("log_likelihoods", .array(scores.logLikelihoods.map { .double($0) })),
        ("token_means", .array(scores.tokenMeans.map { .double($0) })),
      ])
  }
}

extension TaskReport {
  /// The quantized model's results in the shape of lm-eval's `results.json` (0.4), so that its tables and comparisons read
  /// them; those of the reference stand beside them under `reference_results`.
  public var lmEvalJSON: JSONText {
    let names = groups.map(\.task)
    func each(_ value: (Group) -> JSONText) -> JSONText { .object(groups.map { ($0.task, value($0)) }) }
    return .object([
      ("results", each { TaskReport.lmEval($0, \.quantizedAccuracy) }),
      ("group_subtasks", .object(names.map { ($0, .array([])) })),
      (
        "configs",
        each { group in
          .object([
            ("task", .string(group.task)), ("dataset_path", .string(file)), ("output_type", .string("multiple_choice")),
            ("num_fewshot", .int(0)),
            (
              "metric_list",
              .array(
                TaskMeasure.allCases.map {
                  .object([
                    ("metric", .string($0.rawValue)), ("aggregation", .string("mean")),
                    ("higher_is_better", .bool(true)),
                  ])
                })
            ),
          ])
        }
      ),
      ("versions", each { _ in .int(0) }), ("n-shot", each { _ in .int(0) }),
      (
        "higher_is_better",
        each { _ in .object(TaskMeasure.allCases.map { ($0.rawValue, .bool(true)) }) }
      ),
      (
        "n-samples",
        each { .object([("original", .int($0.count)), ("effective", .int($0.count))]) }
      ),
      ("config", .object([("model", .string("quern")), ("model_args", .string("pretrained=\(candidate)"))])),
      ("reference", .string(reference)),
      ("reference_results", each { TaskReport.lmEval($0, \.referenceAccuracy) }),
    ])
  }

  private static func lmEval(_ group: Group, _ accuracy: KeyPath<TaskTally, Double>) -> JSONText {
    .object(
      [("alias", .string(group.task))]
        + group.tallies.flatMap { tally in
          let share = tally[keyPath: accuracy]
          return [
            ("\(tally.measure.rawValue),none", JSONText.double(share)),
            ("\(tally.measure.rawValue)_stderr,none", .double(tally.standardError(share))),
          ]
        })
  }
}

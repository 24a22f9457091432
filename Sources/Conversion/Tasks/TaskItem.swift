import Bytes

/// One multiple-choice question.
public struct TaskItem: Hashable, Sendable {
  /// What a choice does to the text.
  public enum Form: Hashable, Sendable {
    /// The choice follows the context, `delimiter` between them.
    case ending(context: String, delimiter: String)
    /// The choice fills a blank, and what is scored is the text after it.
    case blank(before: String, after: String)
  }

  /// As the file says, or its number there, from 1.
  public var id: String
  /// The benchmark that it belongs to.
  public var task: String
  public var form: Form
  /// Two to a hundred, none empty.
  public var choices: [String]
  /// Indices of the right choices; at least one.
  public var answers: [Int]

  static let choiceLimit = 2...100

  /// - Throws: `LIMIT` or `BOUNDS` naming the field.
  package init(id: String, task: String, form: Form, choices: [String], answers: [Int]) throws(InputError) {
    guard TaskItem.choiceLimit.contains(choices.count) else {
      throw InputError(.limit, "2 to 100 choices expected, found \(choices.count)", subject: "choices")
    }
    if let index = choices.firstIndex(of: "") {
      throw InputError(.missing, "the choice is empty", subject: "choices[\(index)]")
    }
    guard !answers.isEmpty else { throw InputError(.missing, "no choice is marked as right", subject: "label") }
    for answer in answers where !choices.indices.contains(answer) {
      throw InputError(
        .bounds, "\(answer) is none of the \(choices.count) choices, which count from 0", subject: "label")
    }
    if case .blank(_, let after) = form, after.allSatisfy(\.isWhitespace) {
      throw InputError(.missing, "nothing follows the blank that could be scored", subject: "sentence")
    }
    (self.id, self.task, self.form, self.choices, self.answers) = (id, task, form, choices, answers)
  }

  /// The text with `choice` in its place, and how much of it comes before what is scored.
  func text(_ choice: Int) -> (whole: String, context: String) {
    switch form {
    case .ending(let context, let delimiter): (context + delimiter + choices[choice], context)
    case .blank(let before, let after): (before + choices[choice] + after, before + choices[choice])
    }
  }
}

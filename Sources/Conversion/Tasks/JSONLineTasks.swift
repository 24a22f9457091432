import Bytes

/// One JSON object a line; empty lines are skipped, other keys than these ignored:
///
/// - `{"id"?, "task"?, "context", "choices": [..], "label", "delimiter"?}`: the choice follows the context;
/// - `{"id"?, "task"?, "sentence", "choices": [..], "label"}`: the choice fills the `_` of the sentence;
/// - `{"sentence", "option1", "option2", "answer": "1" or "2"}`: the same as WinoGrande's own files write it.
enum JSONLineTasks {
  static func parse(_ lines: TaskLines, task: String) throws(InputError) -> [TaskItem] {
    var items: [TaskItem] = []
    for index in 0..<lines.count where !lines.isBlank(index) {
      do throws(InputError) {
        items.append(try item(lines, index, task: task, number: items.count + 1))
      } catch {
        throw lines.located(error, index)
      }
      guard items.count <= TaskFile.itemLimit else {
        throw lines.located(InputError(.limit, "more than \(TaskFile.itemLimit) items"), index)
      }
    }
    return items
  }

  private static func item(
    _ lines: TaskLines, _ index: Int, task: String, number: Int
  ) throws(InputError) -> TaskItem {
    let range = lines.ranges[index]
    let object = try JSONDocument(
      parsing: Array(lines.bytes[range]), file: lines.path, base: range.lowerBound, maximumDepth: 16,
      maximumNodes: 4096
    ).root
    var id = "\(number)"
    if let value = object.optional("id") {
      id = value.kind == .number ? "\(try value.int("id"))" : try value.string("id")
    }
    let task = try object.optional("task")?.string("task") ?? task
    guard let sentence = object.optional("sentence") else {
      let context = try object.required("context").string("context")
      let delimiter = try object.optional("delimiter")?.string("delimiter") ?? " "
      return try TaskItem(
        id: id, task: task, form: .ending(context: context, delimiter: delimiter), choices: choices(object),
        answers: [try object.required("label").int("label")])
    }
    let form = try blank(sentence.string("sentence"))
    guard object.optional("choices") == nil, object.optional("option1") != nil else {
      return try TaskItem(
        id: id, task: task, form: form, choices: choices(object), answers: [try object.required("label").int("label")])
    }
    let answer = try object.required("answer").string("answer")
    guard answer == "1" || answer == "2" else {
      throw InputError(.bounds, "\"1\" or \"2\" expected, found \"\(answer)\"", subject: "answer")
    }
    return try TaskItem(
      id: id, task: task, form: form,
      choices: [
        try object.required("option1").string("option1"), try object.required("option2").string("option2"),
      ], answers: [answer == "1" ? 0 : 1])
  }

  private static func choices(_ object: JSONValue) throws(InputError) -> [String] {
    var choices: [String] = []
    for element in try object.required("choices").elements("choices") {
      choices.append(try element.string("choices[\(choices.count)]"))
    }
    return choices
  }

  /// `sentence` cut at its only or first `_`.
  static func blank(_ sentence: String) throws(InputError) -> TaskItem.Form {
    guard let place = sentence.unicodeScalars.firstIndex(of: "_") else {
      throw InputError(.missing, "no blank (_) is in it", subject: "sentence")
    }
    let after = sentence.unicodeScalars.index(after: place)
    return .blank(
      before: String(sentence.unicodeScalars[..<place]), after: String(sentence.unicodeScalars[after...]))
  }
}

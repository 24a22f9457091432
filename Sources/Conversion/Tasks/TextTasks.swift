import Bytes

/// What `llama-perplexity --hellaswag` reads (llama.cpp 0c1e57098, tools/perplexity): six lines an item, which are the
/// context, the index of the right ending from 0, and four endings.
enum HellaSwagTasks {
  static func begin(_ lines: TaskLines) -> Bool {
    lines.count >= 6 && lines.count % 6 == 0 && label(lines.text(1)) != nil
  }

  static func parse(_ lines: TaskLines, task: String) throws(InputError) -> [TaskItem] {
    var items: [TaskItem] = []
    for first in stride(from: 0, to: lines.count, by: 6) {
      guard let label = label(lines.text(first + 1)) else {
        throw lines.located(
          InputError(.type, "a number from 0 to 3 expected", subject: "label"), first + 1)
      }
      do throws(InputError) {
        items.append(
          try TaskItem(
            id: "\(items.count + 1)", task: task, form: .ending(context: lines.text(first), delimiter: " "),
            choices: (2..<6).map { lines.text(first + $0) }, answers: [label]))
      } catch {
        throw lines.located(error, first)
      }
    }
    return items
  }

  private static func label(_ line: String) -> Int? {
    Int(line.trimmed).flatMap { (0...3).contains($0) ? $0 : nil }
  }
}

/// What `llama-perplexity --winogrande` reads: rows of index, sentence with a blank, two choices and the number of the right
/// one, from 1. Fields may be quoted, with quotes doubled inside; a first row of headings is skipped.
enum WinoGrandeTasks {
  static func begin(_ lines: TaskLines) -> Bool {
    guard lines.count > 0 else { return false }
    let first = fields(lines.text(0))
    return first.map { $0.count >= 5 && ($0[1].contains("_") || isHeading($0)) } ?? false
  }

  static func parse(_ lines: TaskLines, task: String) throws(InputError) -> [TaskItem] {
    var items: [TaskItem] = []
    for index in 0..<lines.count where !lines.isBlank(index) {
      do throws(InputError) {
        guard let fields = fields(lines.text(index)), fields.count >= 5 else {
          throw InputError(.type, "five fields expected: index, sentence, two choices, 1 or 2")
        }
        if index == 0, isHeading(fields) { continue }
        let answer = fields[4].trimmed
        guard answer == "1" || answer == "2" else {
          throw InputError(.bounds, "1 or 2 expected, found \(answer)", subject: "answer")
        }
        items.append(
          try TaskItem(
            id: fields[0], task: task, form: JSONLineTasks.blank(fields[1]), choices: [fields[2], fields[3]],
            answers: [answer == "1" ? 0 : 1]))
      } catch {
        throw lines.located(error, index)
      }
    }
    return items
  }

  private static func isHeading(_ fields: [String]) -> Bool { fields[4].trimmed == "answer" }

  /// The fields of a row; `nil` when a quote is not closed.
  static func fields(_ line: String) -> [String]? {
    var fields: [String] = []
    var field = String.UnicodeScalarView()
    var isQuoted = false
    var scalars = line.unicodeScalars.makeIterator()
    var next = scalars.next()
    while let scalar = next {
      next = scalars.next()
      if isQuoted {
        if scalar != "\"" {
          field.append(scalar)
        } else if next == "\"" {
          field.append("\"")
          next = scalars.next()
        } else {
          isQuoted = false
        }
      } else if scalar == "," {
        fields.append(String(field))
        field = .init()
      } else if scalar == "\"", field.isEmpty {
        isQuoted = true
      } else {
        field.append(scalar)
      }
    }
    return isQuoted ? nil : fields + [String(field)]
  }
}

extension String {
  /// Without blanks at either end.
  fileprivate var trimmed: String {
    String(drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
  }
}

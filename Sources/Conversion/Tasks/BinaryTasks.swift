import Bytes

/// What `llama-perplexity --multiple-choice` reads (llama.cpp 0c1e57098, tools/perplexity), the form in which ARC, MMLU and
/// TruthfulQA are passed around for it. Little-endian:
///
/// 1. u32 n, the number of items;
/// 2. u32 × n, where each item begins in the file;
/// 3. n items: the question, the answers of which one is right, the answers of which several are;
///    a text is its bytes behind a u32 of their count; answers are a u32 k, k texts, and k × i32, 1 for a right one.
enum BinaryTasks {
  /// Whether `bytes` begin as such a file does: the first item lies right behind the table of places.
  static func begin(_ bytes: [UInt8]) -> Bool {
    var cursor = ByteCursor(Array(bytes.prefix(8)))
    guard let count = try? cursor.uint32("count"), let first = try? cursor.uint32("place"), count > 0 else {
      return false
    }
    return UInt64(first) == 4 + 4 * UInt64(count) && UInt64(first) <= UInt64(bytes.count)
  }

  static func parse(_ bytes: [UInt8], path: String, task: String) throws(InputError) -> [TaskItem] {
    var cursor = ByteCursor(bytes, file: path)
    let count = Int(try cursor.uint32("number of items"))
    guard count <= TaskFile.itemLimit else {
      throw InputError(.limit, "\(count) items, at most \(TaskFile.itemLimit) are read", file: path)
    }
    var places: [UInt64] = []
    for _ in 0..<count { places.append(UInt64(try cursor.uint32("table of places"))) }
    var items: [TaskItem] = []
    for index in 0..<count {
      let offset = cursor.fileOffset
      do throws(InputError) {
        guard places[index] == offset else {
          throw InputError(.bounds, "it begins at byte \(offset), the table says \(places[index])")
        }
        let question = try text(&cursor, "question")
        let single = try answers(&cursor, "answers")
        _ = try answers(&cursor, "answers of which several are right")
        guard !question.isEmpty else { throw InputError(.missing, "the text is empty", subject: "question") }
        items.append(
          try TaskItem(
            id: "\(index + 1)", task: task, form: .ending(context: question, delimiter: " "), choices: single.texts,
            answers: single.right))
      } catch {
        var error = error.adding(file: path, offset: offset)
        error.subject = "item \(index + 1)" + (error.subject.map { ", \($0)" } ?? "")
        throw error
      }
    }
    guard cursor.remaining == 0 else {
      throw InputError(
        .bounds, "\(cursor.remaining) bytes follow the last item", file: path, offset: cursor.fileOffset)
    }
    return items
  }

  private static func answers(
    _ cursor: inout ByteCursor, _ field: String
  ) throws(InputError) -> (texts: [String], right: [Int]) {
    let count = try cursor.uint32(field)
    guard count <= 100 else { throw InputError(.limit, "at most 100 expected, found \(count)", subject: field) }
    var (texts, right) = ([String](), [Int]())
    for index in 0..<count { texts.append(try text(&cursor, "\(field)[\(index)]")) }
    for index in 0..<Int(count) where try cursor.uint32("labels of \(field)") == 1 { right.append(index) }
    return (texts, right)
  }

  private static func text(_ cursor: inout ByteCursor, _ field: String) throws(InputError) -> String {
    let count = UInt64(try cursor.uint32("length of \(field)"))
    guard count <= UInt64(TaskFile.lineLimit) else {
      throw InputError(.limit, "\(count) bytes, at most \(TaskFile.lineLimit) are read", subject: field)
    }
    return try cursor.string(count, field)
  }
}

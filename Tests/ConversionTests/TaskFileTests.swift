import Bytes
import Conversion
import TestSupport
import Testing

@Suite struct TaskFileTests {
  private static func items(_ text: String) throws -> [TaskItem] {
    try TaskFile.parse(Array(text.utf8), path: "folder/quiz.v1.jsonl").1
  }

  @Test(arguments: [
    ("both.jsonl", TaskFile.Format.jsonLines, 4), ("hellaswag.txt", .hellaSwag, 2), ("winogrande.csv", .winoGrande, 2),
    ("choices.bin", .binary, 2),
  ]) func everyFormIsKnownByItsContent(_ name: String, _ format: TaskFile.Format, _ count: Int) throws {
    let file = try TaskFile(reading: Fixtures.path("fuzz/tasks/\(name)"))
    #expect(file.format == format)
    #expect(file.items.count == count)
  }

  @Test func linesOfJSONGiveWhatTheySay() throws {
    let items = try TaskFile(reading: Fixtures.path("fuzz/tasks/both.jsonl")).items
    #expect(items.map(\.id) == ["a", "2", "3", "4"])
    #expect(items.map(\.task) == ["trees", "both", "both", "both"])
    #expect(items[0].form == .ending(context: "An oak grows from", delimiter: " "))
    #expect(items[0].choices == ["an acorn", "a naïve question", "東京"])
    #expect(
      items[2].form
        == .blank(before: "The cup did not fit into the box because the ", after: " was too small."))
    #expect(items.map(\.answers) == [[0], [0], [1], [1]])
    #expect(items[3].choices == ["Ann", "Eve"])
  }

  @Test func theOtherFormsGiveTheSameKindOfItem() throws {
    let endings = try TaskFile(reading: Fixtures.path("fuzz/tasks/hellaswag.txt")).items
    #expect(endings[0].form == .ending(context: "Baking: A man puts dough into an oven. He", delimiter: " "))
    #expect(endings.map(\.answers) == [[1], [0]])
    #expect(endings[1].choices[3] == "opens a bank.")
    let blanks = try TaskFile(reading: Fixtures.path("fuzz/tasks/winogrande.csv")).items
    #expect(
      blanks[0].form
        == .blank(
          before: "The cup, which was large, did not fit into the box because the ", after: " was too small."))
    #expect(blanks[1].choices == ["Ann", "Eve"])
    let choices = try TaskFile(reading: Fixtures.path("fuzz/tasks/choices.bin")).items
    #expect(choices[1].choices == ["fire", "ice"])
    #expect(choices.map(\.answers) == [[0], [1]])
  }

  @Test func aCSVMayHaveHeadingsAndDoubledQuotesAndCRLF() throws {
    let text = "qid,sentence,option1,option2,answer\r\n7,\"He said \"\"no\"\", so _ left, sadly.\",Al,Bo,1\r\n"
    let found = try TaskFile.parse(Array(text.utf8), path: "x.csv")
    #expect(found.0 == .winoGrande)
    #expect(found.1.count == 1)
    #expect(found.1[0].form == .blank(before: "He said \"no\", so ", after: " left, sadly."))
    #expect(found.1[0].id == "7" && found.1[0].answers == [0])
  }

  /// The second line is wrong; the message names it and the field.
  @Test(arguments: [
    (#"{"choices": ["a", "b"], "label": 0}"#, InputError.Code.missing, "line 2, context"),
    (#"{"context": "x", "label": 0}"#, .missing, "line 2, choices"),
    (#"{"context": "x", "choices": ["a", "b"]}"#, .missing, "line 2, label"),
    (#"{"context": "x", "choices": ["a", "b"], "label": 2}"#, .bounds, "line 2, label"),
    (#"{"context": "x", "choices": ["a", "b"], "label": -1}"#, .bounds, "line 2, label"),
    (#"{"context": "x", "choices": ["a", "b"], "label": "0"}"#, .type, "line 2, label"),
    (#"{"context": "x", "choices": ["a", ""], "label": 0}"#, .missing, "line 2, choices[1]"),
    (#"{"context": "x", "choices": ["a", 4], "label": 0}"#, .type, "line 2, choices[1]"),
    (#"{"context": "x", "choices": ["a"], "label": 0}"#, .limit, "line 2, choices"),
    (#"{"context": 3, "choices": ["a", "b"], "label": 0}"#, .type, "line 2, context"),
    (#"{"sentence": "no blank", "choices": ["a", "b"], "label": 0}"#, .missing, "line 2, sentence"),
    (#"{"sentence": "at the end _", "choices": ["a", "b"], "label": 0}"#, .missing, "line 2, sentence"),
    (#"{"sentence": "a _ b", "option1": "x", "option2": "y", "answer": ""}"#, .bounds, "line 2, answer"),
    (#"{"context": "x", "choices": ["a", "b"], "label": 0"#, .json, "line 2"),
    (#"["context"]"#, .type, "line 2"),
  ]) func aBrokenLineIsNamedWithItsField(_ line: String, _ code: InputError.Code, _ subject: String) throws {
    let good = #"{"context": "x", "choices": ["a", "b"], "label": 0}"#
    let error = #expect(throws: InputError.self) { try Self.items(good + "\n" + line + "\n" + good) }
    #expect(error?.code == code)
    #expect(error?.subject == subject)
    #expect(error?.file == "folder/quiz.v1.jsonl")
    #expect(error?.offset != nil)
  }

  @Test func moreThanAHundredChoicesAreRefused() throws {
    let choices = (0...100).map { "\"\($0)\"" }.joined(separator: ",")
    let error = #expect(throws: InputError.self) {
      try Self.items(#"{"context": "x", "label": 0, "choices": [\#(choices)]}"#)
    }
    #expect(error?.code == .limit)
  }

  @Test func aLineOfMoreThanAMebibyteIsRefused() throws {
    let error = #expect(throws: InputError.self) {
      try Self.items(#"{"context": ""# + String(repeating: "x", count: 1 << 20) + #"", "label": 0}"#)
    }
    #expect(error?.code == .limit && error?.subject == "line 1")
  }

  @Test(arguments: ["", "\n", "hello", "a\nb\nc\nd\ne\nf\n", "1,2,3\n", "{", "\u{FEFF}{}"])
  func whatIsNoTaskFileIsRefused(_ text: String) {
    #expect(throws: InputError.self) { try Self.items(text) }
  }

  @Test func aBinaryFileCutAnywhereIsRefused() throws {
    let bytes = try RandomAccessFile(Fixtures.path("fuzz/tasks/choices.bin")).readAll(limit: 1 << 16)
    for count in 0..<bytes.count {
      #expect(throws: InputError.self, "\(count)") { try TaskFile.parse(Array(bytes.prefix(count)), path: "x.bin") }
    }
    let error = #expect(throws: InputError.self) { try TaskFile.parse(bytes + [0], path: "x.bin") }
    #expect(error?.code == .bounds)
  }

  @Test func aBinaryItemElsewhereThanItsTableSaysIsNamed() throws {
    var bytes = try RandomAccessFile(Fixtures.path("fuzz/tasks/choices.bin")).readAll(limit: 1 << 16)
    bytes[8] &+= 1
    let error = #expect(throws: InputError.self) { try TaskFile.parse(bytes, path: "x.bin") }
    #expect(error?.code == .bounds && error?.subject == "item 2")
  }
}

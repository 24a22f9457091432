import Bytes
import Conversion
import TestSupport
import Testing
import Tokenizers

/// Which tokens are scored of a choice.
@Suite struct TaskPlanTests {
  private let tokenizer: Tokenizer

  init() throws { tokenizer = try ModelInput.tokenizer(of: Fixtures.path("tiny-llama")) }

  private func plan(
    _ form: TaskItem.Form, _ choices: [String], contextLength: Int = 512
  ) throws -> TaskPlan {
    try TaskPlan(
      [TaskItem(id: "x", task: "t", form: form, choices: choices, answers: [0])], tokenizer,
      contextLength: contextLength)
  }

  private func encode(_ text: String) -> [Int32] { tokenizer.encode(text, addSpecial: false, parseSpecial: false) }

  /// The tokens that `targets` of a choice ask for.
  private func tokens(_ plan: TaskPlan, _ choice: Int, _ range: KeyPath<TaskPlan.Choice, Range<Int>>) -> [Int32] {
    let it = plan.choices[0][choice]
    return plan.sequences[it.sequence].targets[it[keyPath: range]].map(\.token)
  }

  @Test func lmEvalsRuleScoresWhatIsBehindTheContext() throws {
    let choices = ["a small red house", "a small dog that barks"]
    let plan = try plan(.ending(context: "They bought ", delimiter: ""), choices)
    let base = encode("They bought").count
    for (index, choice) in choices.enumerated() {
      let whole = encode("They bought " + choice)
      #expect(tokens(plan, index, \.continuation) == Array(whole[base...]))
      #expect(plan.choices[0][index].characters == choice.count && plan.choices[0][index].bytes == choice.utf8.count)
      let input = plan.sequences[plan.choices[0][index].sequence].input
      #expect(input == tokenizer.special.prefix + whole.dropLast())
    }
  }

  @Test func llamaCppsRuleScoresWhatIsBehindTheCommonTokens() throws {
    let choices = ["a small red house", "a small dog that barks"]
    let plan = try plan(.ending(context: "They bought", delimiter: " "), choices)
    let wholes = choices.map { encode("They bought " + $0) }
    let shared = zip(wholes[0], wholes[1]).prefix { $0 == $1 }.count
    #expect(shared > encode("They bought").count)
    for index in choices.indices { #expect(tokens(plan, index, \.distinct) == Array(wholes[index][shared...])) }
  }

  @Test func aTargetFollowsTheTokenBeforeIt() throws {
    let plan = try plan(.ending(context: "One two", delimiter: " "), ["three four", "five"])
    for choice in plan.choices[0] {
      let sequence = plan.sequences[choice.sequence]
      for target in sequence.targets.dropLast() where target.position + 1 < sequence.input.count {
        #expect(sequence.input[target.position + 1] == target.token)
      }
      #expect(sequence.targets.last?.position == sequence.input.count - 1)
    }
  }

  @Test func choicesOfOneTokenAreGivenToTheModelOnce() throws {
    let plan = try plan(.ending(context: "Answer:", delimiter: " "), ["A", "B", "C", "D"])
    #expect(plan.sequences.count == 1)
    #expect(plan.choices[0].map(\.continuation) == [0..<1, 1..<2, 2..<3, 3..<4])
    #expect(Set(plan.sequences[0].targets.map(\.token)).count == 4)
  }

  @Test func ofAFilledBlankTheRestIsScored() throws {
    let after = " was far too small for all of them."
    let plan = try plan(.blank(before: "The cup left the box since the ", after: after), ["cup", "box"])
    for (index, choice) in ["cup", "box"].enumerated() {
      let base = encode("The cup left the box since the " + choice)
      let whole = encode("The cup left the box since the " + choice + after)
      #expect(tokens(plan, index, \.continuation) == Array(whole[base.count...]))
      // llama.cpp leaves the last token out.
      #expect(tokens(plan, index, \.distinct) == Array(whole[base.count...].dropLast()))
    }
    #expect(plan.choices[0][0].characters == plan.choices[0][1].characters)
  }

  @Test func anEmptyContextIsBOSAlone() throws {
    let plan = try plan(.ending(context: "", delimiter: ""), ["first", "second one"])
    for index in 0..<2 {
      let sequence = plan.sequences[plan.choices[0][index].sequence]
      #expect(sequence.input.first == tokenizer.bosID)
      #expect(tokens(plan, index, \.continuation) == encode(["first", "second one"][index]))
    }
  }

  @Test func anItemLongerThanTheModelTakesIsNamed() throws {
    let error = #expect(throws: InputError.self) {
      try plan(.ending(context: "one two three four five", delimiter: " "), ["a", "b"], contextLength: 4)
    }
    #expect(error?.code == .limit && error?.subject == "item x")
  }
}

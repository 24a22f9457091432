import Bytes

/// Reads the `pre_tokenizer` of a tokenizer.json by its structure.
struct PreTokenizerReader {
  var rules: PreTokenizer
  var addsPrefixSpace: Bool

  static func read(_ json: JSONValue?, in file: JSONValue) throws(InputError) -> PreTokenizerReader {
    guard let json else {
      throw InputError(
        .unsupported, "a vocabulary without a pre-tokenizer is not byte-level BPE", file: file.file,
        subject: "pre_tokenizer", offset: file.offset)
    }
    var stages: [JSONValue] = []
    try flatten(json, into: &stages)

    var reader = PreTokenizerReader(rules: PreTokenizer(before: []), addsPrefixSpace: false)
    var isComplete = false
    for (index, stage) in stages.enumerated() {
      guard !isComplete else { throw unsupported("something after ByteLevel", stage) }
      switch try stage.required("type").string("pre_tokenizer") {
      case "Digits": try reader.readDigits(stage)
      case "Split": try reader.readSplit(stage)
      case "ByteLevel":
        try reader.readByteLevel(stage, isFirst: index == 0)
        isComplete = true
      case let type: throw unsupported("\(type) at place \(index + 1)", stage)
      }
    }
    guard isComplete else { throw unsupported("no ByteLevel at its end", json) }
    return reader
  }

  private mutating func readDigits(_ stage: JSONValue) throws(InputError) {
    guard rules.rules == nil else { throw PreTokenizerReader.unsupported("Digits after a pattern", stage) }
    let alone = try stage.optional("individual_digits")?.bool("individual_digits") ?? false
    rules.before.append(RunRule(.digit, alone ? .one : .many))
  }

  private mutating func readSplit(_ stage: JSONValue) throws(InputError) {
    guard rules.rules == nil else { throw PreTokenizerReader.unsupported("a second pattern", stage) }
    let behavior = try stage.required("behavior").string("behavior")
    let inverted = try stage.optional("invert")?.bool("invert") ?? false
    guard let regex = try stage.required("pattern").optional("Regex") else {
      throw PreTokenizerReader.unsupported("Split at a fixed string", stage)
    }
    let text = try regex.string("Regex")
    let run = RunRule(pattern: text)
    // Whatever the matches leave over is dropped by the second, and the rules leave nothing over.
    guard behavior == "Isolated" && !inverted || behavior == "Removed" && inverted && run == nil else {
      throw PreTokenizerReader.unsupported("Split with behavior \(behavior)\(inverted ? ", inverted" : "")", stage)
    }
    if let run {
      rules.before.append(run)
    } else if let split = SplitRules(pattern: text) {
      set(split)
    } else {
      throw InputError(
        .unsupported, "the pattern is not one of the known ones: \(text)", file: stage.file, subject: "pre_tokenizer",
        offset: regex.offset,
        remedy: "patterns of GPT-2, Llama 3, Llama 4, Qwen2, Mistral Nemo and DeepSeek are known")
    }
  }

  private mutating func readByteLevel(_ stage: JSONValue, isFirst: Bool) throws(InputError) {
    addsPrefixSpace = try stage.optional("add_prefix_space")?.bool("add_prefix_space") ?? true
    if addsPrefixSpace && !isFirst { throw PreTokenizerReader.unsupported("a space added to every piece", stage) }
    if try stage.optional("use_regex")?.bool("use_regex") ?? true {
      guard rules.rules == nil else { throw PreTokenizerReader.unsupported("a second pattern in ByteLevel", stage) }
      set(.gpt2)
    } else if rules.rules == nil && rules.before.isEmpty {
      throw PreTokenizerReader.unsupported("ByteLevel without any pattern", stage)
    }
  }

  /// Digits cut out first are left to the rules, which do it in passing.
  private mutating func set(_ split: SplitRules) {
    rules.rules = split
    if rules.before == [RunRule(.digit, .one)] {
      rules.before = []
      rules.rules?.isolatesDigits = true
    }
  }

  private static func flatten(_ json: JSONValue, into stages: inout [JSONValue]) throws(InputError) {
    // A sequence inside a sequence is as deep as the reader of JSON allows, no deeper.
    if try json.required("type").string("pre_tokenizer") == "Sequence" {
      for part in try json.required("pretokenizers").elements("pretokenizers") { try flatten(part, into: &stages) }
    } else {
      stages.append(json)
    }
  }

  private static func unsupported(_ what: String, _ json: JSONValue) -> InputError {
    InputError(
      .unsupported, "this pre-tokenizer is not supported: \(what)", file: json.file, subject: "pre_tokenizer",
      offset: json.offset)
  }
}

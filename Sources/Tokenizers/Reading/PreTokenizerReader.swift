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

    var isolatesDigits = false
    var pattern: SplitRules?
    var result: PreTokenizerReader?
    for (index, stage) in stages.enumerated() {
      let type = try stage.required("type").string("pre_tokenizer")
      switch type {
      case "Digits" where index == 0:
        guard try stage.optional("individual_digits")?.bool("individual_digits") ?? false else {
          throw unsupported("Digits without individual_digits", stage)
        }
        isolatesDigits = true
      case "Split" where pattern == nil && result == nil && !isolatesDigits:
        pattern = try split(stage)
      case "ByteLevel" where result == nil:
        let usesRegex = try stage.optional("use_regex")?.bool("use_regex") ?? true
        let addsPrefixSpace = try stage.optional("add_prefix_space")?.bool("add_prefix_space") ?? true
        if addsPrefixSpace && index > 0 { throw unsupported("a space added to every piece", stage) }
        if pattern == nil && !usesRegex { throw unsupported("ByteLevel without any pattern", stage) }
        if pattern != nil && usesRegex { throw unsupported("a second pattern in ByteLevel", stage) }
        var rules = pattern ?? .gpt2
        rules.isolatesDigits = isolatesDigits
        result = PreTokenizerReader(rules: PreTokenizer(rules), addsPrefixSpace: addsPrefixSpace)
      default: throw unsupported("\(type) at place \(index + 1)", stage)
      }
    }
    guard let result else { throw unsupported("no ByteLevel at its end", json) }
    return result
  }

  private static func flatten(_ json: JSONValue, into stages: inout [JSONValue]) throws(InputError) {
    // A sequence inside a sequence is as deep as the reader of JSON allows, no deeper.
    if try json.required("type").string("pre_tokenizer") == "Sequence" {
      for part in try json.required("pretokenizers").elements("pretokenizers") { try flatten(part, into: &stages) }
    } else {
      stages.append(json)
    }
  }

  /// A `Split` that keeps the matches as pieces.
  private static func split(_ stage: JSONValue) throws(InputError) -> SplitRules {
    let behavior = try stage.required("behavior").string("behavior")
    let inverted = try stage.optional("invert")?.bool("invert") ?? false
    // Whatever the matches leave over is dropped by the second, and the known patterns leave nothing over.
    guard behavior == "Isolated" && !inverted || behavior == "Removed" && inverted else {
      throw unsupported("Split with behavior \(behavior)\(inverted ? ", inverted" : "")", stage)
    }
    guard let regex = try stage.required("pattern").optional("Regex") else {
      throw unsupported("Split at a fixed string", stage)
    }
    let text = try regex.string("Regex")
    guard let rules = SplitRules(pattern: text) else {
      throw InputError(
        .unsupported, "the pattern is not one of the known ones: \(text)", file: stage.file, subject: "pre_tokenizer",
        offset: regex.offset, remedy: "patterns of GPT-2, Llama 3, Llama 4, Qwen2 and Mistral Nemo are known")
    }
    return rules
  }

  private static func unsupported(_ what: String, _ json: JSONValue) -> InputError {
    InputError(
      .unsupported, "this pre-tokenizer is not supported: \(what)", file: json.file, subject: "pre_tokenizer",
      offset: json.offset)
  }
}

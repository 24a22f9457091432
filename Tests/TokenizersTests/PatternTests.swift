import Bytes
import Testing
import Tokenizers

@Suite struct PatternTests {
  /// A byte-level vocabulary of one token with the given pre-tokenizer.
  private func tokenizer(_ preTokenizer: String) throws -> Tokenizer {
    let json = """
      {"pre_tokenizer": \(preTokenizer), "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}
      """
    return try Tokenizer(TokenizerSources(tokenizer: JSONDocument(parsing: Array(json.utf8)).root))
  }

  private func split(_ pattern: String, _ behavior: String = "Isolated", inverted: Bool = false) -> String {
    var escaped = ""
    for scalar in pattern.unicodeScalars {  // by scalars: CR LF is one Character
      switch scalar {
      case "\\", "\"": escaped += "\\\(scalar)"
      case "\r": escaped += "\\r"
      case "\n": escaped += "\\n"
      default: escaped.unicodeScalars.append(scalar)
      }
    }
    return """
      {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": "\(escaped)"}, "behavior": "\(behavior)", "invert": \(inverted)},
        {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]}
      """
  }

  @Test(arguments: [
    #"(a+)+$"#, #"\p{L}+"#, "", "|", #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|"#, #" ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+"#,
    #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#,
    #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+|x"#,
    #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|(\s+"#,
    #"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,4}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
  ]) func anUnknownPatternIsRefusedWithItsText(_ pattern: String) {
    #expect {
      try tokenizer(split(pattern))
    } throws: {
      ($0 as? InputError)?.code == .unsupported && (pattern.isEmpty || "\($0)".contains(pattern))
    }
  }

  @Test(arguments: [
    #"{"type": "Whitespace"}"#, #"{"type": "Metaspace"}"#, #"{"type": "Digits", "individual_digits": true}"#,
    #"{"type": "Sequence", "pretokenizers": []}"#, #"{"type": "ByteLevel", "use_regex": false}"#,
    #"{"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": false}, {"type": "ByteLevel"}]}"#,
    #"{"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}, {"type": "ByteLevel"}]}"#,
    #"{"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": true}, {"type": "ByteLevel"}]}"#,
    "null",
  ]) func anUnknownStructureIsRefused(_ preTokenizer: String) {
    #expect { try tokenizer(preTokenizer) } throws: { ($0 as? InputError)?.code == .unsupported }
  }

  @Test(arguments: [("Isolated", true), ("Removed", false), ("MergedWithNext", false)])
  func aSplitThatLosesTextIsRefused(_ behavior: String, _ inverted: Bool) {
    let pattern = #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
    #expect {
      try tokenizer(split(pattern, behavior, inverted: inverted))
    } throws: {
      ($0 as? InputError)?.code == .unsupported
    }
  }

  /// What `tokenizer.ggml.pre` says, from the pattern and `ignore_merges` alone.
  @Test(arguments: [
    (
      #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
      true, "llama-bpe"
    ),
    (
      #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
      false, "smaug-bpe"
    ),
    (
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
      false, "qwen2"
    ),
    (#"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#, false, "gpt-2"),
    (
      #"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
      true, "tekken"
    ),
  ]) func thePatternDecidesTheName(_ pattern: String, _ ignoresMerges: Bool, _ name: String) throws {
    let json = """
      {"pre_tokenizer": \(split(pattern)),
       "model": {"type": "BPE", "ignore_merges": \(ignoresMerges), "vocab": {"a": 0}, "merges": []}}
      """
    let tokenizer = try Tokenizer(TokenizerSources(tokenizer: JSONDocument(parsing: Array(json.utf8)).root))
    #expect(try tokenizer.ggufMetadata(vocabularySize: 1)["tokenizer.ggml.pre"]?.string == name)
  }

  @Test func digitsBeforeGPT2AreSmolLM() throws {
    let pre = """
      {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": true},
        {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}]}
      """
    #expect(try tokenizer(pre).ggufMetadata(vocabularySize: 1)["tokenizer.ggml.pre"]?.string == "smollm")
  }
}

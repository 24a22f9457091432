/// How a text is cut into the pieces that are then merged independently: by cutting runs of characters out of it, by the
/// rules of one regular expression, or by both in turn, each within the pieces that the former left.
public struct PreTokenizer: Hashable, Sendable {
  var before: [RunRule] = []
  var rules: SplitRules?
  var after: [RunRule] = []

  init(_ rules: SplitRules) { self.rules = rules }

  init(before: [RunRule], _ rules: SplitRules? = nil, after: [RunRule] = []) {
    self.before = before
    self.rules = rules
    self.after = after
  }

  /// DeepSeek's first LLM.
  static let deepSeekLLM = PreTokenizer(before: [
    RunRule(.newline, .one), RunRule(.casedLetter, .many, afterSpace: true),
    RunRule(.asciiSign, .many, afterSpace: true),
    RunRule(.space, .toTheEnd), RunRule(.eastAsian, .many), RunRule(.number, .many),
  ])
  /// The same as its tokenizer.json has it, with each digit alone.
  static let deepSeekLLMDigits = PreTokenizer(before: deepSeekLLM.before.dropLast() + [RunRule(.digit, .one)])
  static let deepSeekCoder = PreTokenizer(before: [
    RunRule(.newline, .one), RunRule(.letter, .many, afterSpace: true), RunRule(.punctuation, .many, afterSpace: true),
    RunRule(.eastAsian, .many), RunRule(.digit, .one),
  ])
  static let falcon = PreTokenizer(
    before: [RunRule(.falconSign, .many)], .gpt2, after: [RunRule(.asciiDigit, .three)])
}

// MARK: Names of llama.cpp

extension PreTokenizer {
  /// A value of `tokenizer.ggml.pre`: the rules it stands for, and whether a piece that is a token as a whole is left
  /// unmerged (llama.cpp 0c1e57098, src/llama-vocab.cpp).
  struct Named: Sendable {
    var name: String
    var rules: PreTokenizer
    var ignoresMerges = false
    /// Whether a beginning-of-text token is added where the metadata says nothing.
    var addsBOS = false
  }

  /// The first name of each kind is the one that is written.
  static let named: [Named] =
    [
      Named(name: "llama-bpe", rules: PreTokenizer(.llama3), ignoresMerges: true, addsBOS: true),
      Named(name: "smaug-bpe", rules: PreTokenizer(.llama3)),
      Named(name: "qwen2", rules: PreTokenizer(.qwen2)),
      Named(name: "gpt-2", rules: PreTokenizer(.gpt2)),
      Named(name: "smollm", rules: PreTokenizer(.digitsGPT2)),
      Named(name: "tekken", rules: PreTokenizer(.tekken), ignoresMerges: true, addsBOS: true),
      Named(name: "gpt-4o", rules: PreTokenizer(.gpt4o)),
      Named(name: "qwen35", rules: PreTokenizer(.qwen35)),
      Named(name: "deepseek-llm", rules: .deepSeekLLM),
      Named(name: "deepseek-coder", rules: .deepSeekCoder),
      Named(name: "falcon", rules: .falcon),
      Named(name: "glm4", rules: PreTokenizer(.llama3), ignoresMerges: true),
    ]
    + ["llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"].map {
      Named(name: $0, rules: PreTokenizer(.llama3), ignoresMerges: true, addsBOS: true)
    }
    + ["dbrx", "chatglm-bpe"].map { Named(name: $0, rules: PreTokenizer(.llama3)) }
    + ["deepseek-r1-qwen", "stablelm2", "megrez", "hunyuan", "grok-2", "solar-open", "kormo", "f2llmv2"].map {
      Named(name: $0, rules: PreTokenizer(.qwen2))
    }
    + ["starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2"].map {
      Named(name: $0, rules: PreTokenizer(.digitsGPT2))
    }
    + ["mpt", "olmo", "jais", "phi-2", "mellum", "trillion", "granite-docling", "exaone4", "gigachat", "a.x-4.0"].map {
      Named(name: $0, rules: PreTokenizer(.gpt2))
    }
    + ["llama4", "kanana2", "talkie", "minimax-m2"].map { Named(name: $0, rules: PreTokenizer(.gpt4o)) }

  static func named(_ name: String) -> Named? { named.first { $0.name.utf8.elementsEqual(name.utf8) } }

  /// The value of `tokenizer.ggml.pre` with which llama.cpp cuts and merges as these rules do.
  func name(ignoresMerges: Bool) -> String? {
    var rules = self
    // llama.cpp knows only the plain form of the contractions.
    if rules.rules?.contractions == .eitherCase { rules.rules?.contractions = .folded }
    if rules.rules?.words == .byCase(.eitherCase) { rules.rules?.words = .byCase(.folded) }
    if rules == .deepSeekLLMDigits { rules = .deepSeekLLM }
    return PreTokenizer.named.first { $0.rules == rules && $0.ignoresMerges == ignoresMerges }?.name
  }
}

/// How a text is cut into the pieces that are then merged independently.
///
/// Every byte-level vocabulary of the Llama kind uses one regular expression of the same build: contractions, words,
/// numbers, signs, line ends, spaces. It is taken apart into these rules and never run as an expression, so that a hostile
/// pattern costs nothing and an unknown one is refused with its text (`PreTokenizer(pattern:)`).
public struct PreTokenizer: Hashable, Sendable {
  /// English endings after an apostrophe: 's 't 're 've 'm 'll 'd.
  enum Contractions: Hashable, Sendable {
    case none
    case lowercase
    /// Either case of A to Z.
    case eitherCase
    /// `(?i:…)`: also U+017F, whose case folding is "s".
    case folded
  }

  enum Words: Hashable, Sendable {
    /// ` ?\p{L}+`
    case afterSpace
    /// `[^\r\n\p{L}\p{N}]?\p{L}+`
    case afterAnySign
    /// Cut where a lower-case letter is followed by an upper-case one; then perhaps a contraction.
    case byCase(Contractions)
  }

  enum Numbers: Hashable, Sendable {
    /// ` ?\p{N}+`
    case afterSpace
    /// `\p{N}{1,n}`
    case upTo(Int)
  }

  /// What may trail a run of signs.
  enum SignsEnd: Hashable, Sendable {
    case none
    /// `[\r\n]*`
    case newlines
    /// `[\r\n/]*`
    case newlinesAndSlashes
  }

  /// Every number character is cut out before the other rules see the text (`Digits(individual_digits)`).
  var isolatesDigits = false
  var contractions: Contractions
  var words: Words
  var numbers: Numbers
  var signsEnd: SignsEnd
  /// `\s*[\r\n]+`: spaces are cut after their last line end.
  var cutsAfterNewlines: Bool

  /// GPT-2's pattern.
  static let gpt2 = PreTokenizer(
    contractions: .lowercase, words: .afterSpace, numbers: .afterSpace, signsEnd: .none, cutsAfterNewlines: false)
  /// Digits one by one, then GPT-2's pattern: SmolLM, StarCoder, Refact, Command-R.
  static let digitsGPT2 = PreTokenizer(
    isolatesDigits: true, contractions: .lowercase, words: .afterSpace, numbers: .afterSpace, signsEnd: .none,
    cutsAfterNewlines: false)
  static let llama3 = PreTokenizer(
    contractions: .folded, words: .afterAnySign, numbers: .upTo(3), signsEnd: .newlines, cutsAfterNewlines: true)
  static let qwen2 = PreTokenizer(
    contractions: .folded, words: .afterAnySign, numbers: .upTo(1), signsEnd: .newlines, cutsAfterNewlines: true)
  /// Mistral Nemo.
  static let tekken = PreTokenizer(
    contractions: .none, words: .byCase(.none), numbers: .upTo(1), signsEnd: .newlinesAndSlashes,
    cutsAfterNewlines: true)
  /// GPT-4o and Llama 4.
  static let gpt4o = PreTokenizer(
    contractions: .none, words: .byCase(.folded), numbers: .upTo(3), signsEnd: .newlinesAndSlashes,
    cutsAfterNewlines: true)
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
      Named(name: "llama-bpe", rules: .llama3, ignoresMerges: true, addsBOS: true),
      Named(name: "smaug-bpe", rules: .llama3),
      Named(name: "qwen2", rules: .qwen2),
      Named(name: "gpt-2", rules: .gpt2),
      Named(name: "smollm", rules: .digitsGPT2),
      Named(name: "tekken", rules: .tekken, ignoresMerges: true, addsBOS: true),
      Named(name: "gpt-4o", rules: .gpt4o),
      Named(name: "glm4", rules: .llama3, ignoresMerges: true),
    ]
    + ["llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"].map {
      Named(name: $0, rules: .llama3, ignoresMerges: true, addsBOS: true)
    }
    + ["dbrx", "chatglm-bpe"].map { Named(name: $0, rules: .llama3) }
    + ["deepseek-r1-qwen", "stablelm2", "megrez", "hunyuan", "grok-2", "solar-open", "kormo", "f2llmv2"].map {
      Named(name: $0, rules: .qwen2)
    }
    + ["starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2"].map {
      Named(name: $0, rules: .digitsGPT2)
    }
    + ["mpt", "olmo", "jais", "phi-2", "mellum", "trillion", "granite-docling", "exaone4", "gigachat", "a.x-4.0"].map {
      Named(name: $0, rules: .gpt2)
    }
    + ["llama4", "kanana2", "talkie", "minimax-m2"].map { Named(name: $0, rules: .gpt4o) }

  static func named(_ name: String) -> Named? { named.first { $0.name.utf8.elementsEqual(name.utf8) } }

  /// The value of `tokenizer.ggml.pre` with which llama.cpp cuts and merges as these rules do.
  func name(ignoresMerges: Bool) -> String? {
    var rules = self
    // llama.cpp knows only the plain form of the contractions.
    if rules.contractions == .eitherCase { rules.contractions = .folded }
    if rules.words == .byCase(.eitherCase) { rules.words = .byCase(.folded) }
    return PreTokenizer.named.first { $0.rules == rules && $0.ignoresMerges == ignoresMerges }?.name
  }
}

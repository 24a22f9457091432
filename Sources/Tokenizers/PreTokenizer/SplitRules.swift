/// The rules that one regular expression of the known build states.
///
/// Every byte-level vocabulary of the Llama kind uses one of the same build: contractions, words, numbers, signs, line ends,
/// spaces. It is taken apart into these rules and never run as an expression, so that a hostile pattern costs nothing and an
/// unknown one is refused with its text (`SplitRules(pattern:)`).
struct SplitRules: Hashable, Sendable {
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
    /// `[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+`: marks are letters, not signs.
    case afterAnySignWithMarks
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
  static let gpt2 = SplitRules(
    contractions: .lowercase, words: .afterSpace, numbers: .afterSpace, signsEnd: .none, cutsAfterNewlines: false)
  /// Digits one by one, then GPT-2's pattern: SmolLM, StarCoder, Refact, Command-R.
  static let digitsGPT2 = SplitRules(
    isolatesDigits: true, contractions: .lowercase, words: .afterSpace, numbers: .afterSpace, signsEnd: .none,
    cutsAfterNewlines: false)
  static let llama3 = SplitRules(
    contractions: .folded, words: .afterAnySign, numbers: .upTo(3), signsEnd: .newlines, cutsAfterNewlines: true)
  static let qwen2 = SplitRules(
    contractions: .folded, words: .afterAnySign, numbers: .upTo(1), signsEnd: .newlines, cutsAfterNewlines: true)
  /// Qwen 3.5.
  static let qwen35 = SplitRules(
    contractions: .folded, words: .afterAnySignWithMarks, numbers: .upTo(1), signsEnd: .newlines,
    cutsAfterNewlines: true)
  /// Mistral Nemo.
  static let tekken = SplitRules(
    contractions: .none, words: .byCase(.none), numbers: .upTo(1), signsEnd: .newlinesAndSlashes,
    cutsAfterNewlines: true)
  /// GPT-4o and Llama 4.
  static let gpt4o = SplitRules(
    contractions: .none, words: .byCase(.folded), numbers: .upTo(3), signsEnd: .newlinesAndSlashes,
    cutsAfterNewlines: true)
}

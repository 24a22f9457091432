import Bytes
import Models
import Tokenizers

/// Items as tokens: what a model is given, and which of its answers make the score of a choice.
///
/// Two rules say what is scored of a choice's text, whose tokens are BOS, if the tokenizer adds it, and those of context and
/// choice together:
///
/// - lm-eval's (0.4.13, `TemplateLM._encode_pair` and `HFLM`): everything behind as many tokens as the context alone has,
///   blanks at the end of the context counted to the choice;
/// - llama.cpp's (0c1e57098, tools/perplexity): everything behind the tokens that all choices begin with. Of a filled blank,
///   what follows the choice, its last token left out, if for every choice more than three tokens are behind those.
package struct TaskPlan: Equatable {
  package struct Choice: Equatable {
    /// Its place in `sequences`.
    package var sequence: Int
    /// The targets of that sequence that lm-eval's rule and llama.cpp's take.
    package var continuation, distinct: Range<Int>
    /// Lengths that the sum is divided by.
    package var characters, bytes: Int
  }

  package private(set) var sequences: [TokenSequence] = []
  /// By item.
  package private(set) var choices: [[Choice]] = []

  /// Tokens of all sequences together; 256 MiB of them.
  static let tokenLimit = 1 << 26

  /// - Parameter contextLength: the most tokens that the model can be given.
  /// - Throws: `LIMIT` when an item is longer than that, or all are longer than `tokenLimit`.
  package init(_ items: [TaskItem], _ tokenizer: Tokenizer, contextLength: Int) throws {
    var tokens = 0
    for item in items {
      let first = sequences.count
      choices.append(try add(item, tokenizer, contextLength: min(contextLength, 131_072)))
      tokens += sequences[first...].reduce(0) { $0 + $1.input.count }
      guard tokens <= TaskPlan.tokenLimit else {
        throw InputError(
          .limit, "the tasks have more than \(TaskPlan.tokenLimit) tokens", subject: "item \(item.id)",
          remedy: "split the file")
      }
    }
  }

  private mutating func add(_ item: TaskItem, _ tokenizer: Tokenizer, contextLength: Int) throws(InputError) -> [Choice]
  {
    func encode(_ text: String) -> [Int32] { tokenizer.encode(text, addSpecial: false, parseSpecial: false) }
    var (wholes, bases) = ([[Int32]](), [Int]())
    for choice in item.choices.indices {
      let (whole, context) = item.text(choice)
      wholes.append(encode(whole))
      bases.append(encode(context.withoutTrailingBlanks).count)
    }
    // A first token needs something that it is predicted from.
    var prefix = tokenizer.special.prefix
    if prefix.isEmpty, bases.contains(0) || wholes.contains(where: { $0.count < 2 }) {
      guard let id = tokenizer.special.id(of: .bos) ?? tokenizer.special.id(of: .eos) else {
        throw InputError(
          .missing, "no token precedes the choice, and the tokenizer has neither BOS nor EOS",
          subject: "item \(item.id)")
      }
      prefix = [id]
    }
    for choice in item.choices.indices {
      wholes[choice] = prefix + wholes[choice]
      guard wholes[choice].count - 1 <= contextLength else {
        throw InputError(
          .limit, "\(wholes[choice].count - 1) tokens with choice \(choice), the model takes \(contextLength)",
          subject: "item \(item.id)", remedy: "shorten the context, or leave the item out")
      }
      guard wholes[choice].count > 1 else {
        throw InputError(.missing, "choice \(choice) has no token", subject: "item \(item.id)")
      }
    }
    let shared = TaskPlan.commonPrefix(wholes)
    let longEnough = wholes.allSatisfy { $0.count - shared > 3 }
    let firstSequence = sequences.count
    return item.choices.indices.map { choice in
      let tokens = wholes[choice]
      let continuation = max(1, min(prefix.count + bases[choice], tokens.count - 1))..<tokens.count
      var distinct = shared..<tokens.count
      var lengths = (characters: item.choices[choice].unicodeScalars.count, bytes: item.choices[choice].utf8.count)
      if case .blank(_, let after) = item.form {
        if longEnough { distinct = continuation }
        if distinct.count > 1 { distinct = distinct.lowerBound..<distinct.upperBound - 1 }
        lengths = (after.unicodeScalars.count, after.utf8.count)
      }
      let start = min(continuation.lowerBound, distinct.lowerBound)
      // Choices of one token, such as the letters of MMLU, differ in nothing that the model is given.
      let input = Array(tokens.dropLast())
      let sequence = sequences[firstSequence...].firstIndex { $0.input == input } ?? sequences.count
      if sequence == sequences.count { sequences.append(TokenSequence(input)) }
      let asked = sequences[sequence].ask(
        (start..<tokens.count).map { TokenSequence.Target(position: $0 - 1, token: tokens[$0]) })
      func targets(_ range: Range<Int>) -> Range<Int> {
        asked.lowerBound + range.lowerBound - start..<asked.lowerBound + range.upperBound - start
      }
      return Choice(
        sequence: sequence, continuation: targets(continuation), distinct: targets(distinct),
        characters: lengths.characters, bytes: lengths.bytes)
    }
  }

  /// Tokens that all begin with; fewer than any has and at least one.
  private static func commonPrefix(_ wholes: [[Int32]]) -> Int {
    let limit = (wholes.map(\.count).min() ?? 1) - 1
    var count = 0
    while count < limit, wholes.allSatisfy({ $0[count] == wholes[0][count] }) { count += 1 }
    return max(1, count)
  }
}

extension String {
  /// As Python's `rstrip` sees blanks.
  fileprivate var withoutTrailingBlanks: String {
    var scalars = unicodeScalars[...]
    while let last = scalars.last, last.properties.isWhitespace || (0x1C...0x1F).contains(last.value) {
      scalars.removeLast()
    }
    return String(scalars)
  }
}

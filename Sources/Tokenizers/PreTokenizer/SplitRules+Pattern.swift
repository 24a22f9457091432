extension SplitRules {
  /// The rules that a regular expression of the known build states, or `nil`.
  ///
  /// The text is split at the bars that stand outside brackets; each alternative must be a known spelling, in the known
  /// order. Nothing is executed.
  init?(pattern: String) {
    guard pattern.utf8.count <= 4096 else { return nil }
    var alternatives = SplitRules.alternatives(of: pattern)[...]

    func take(_ spellings: [String]) -> Bool {
      guard let first = alternatives.first, spellings.contains(where: { $0.utf8.elementsEqual(first.utf8) }) else {
        return false
      }
      alternatives.removeFirst()
      return true
    }

    let separate = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"]
    if alternatives.starts(with: separate) {
      alternatives.removeFirst(separate.count)
      contractions = .lowercase
    } else if take(SplitRules.foldedContractions) {
      contractions = .folded
    } else if take(SplitRules.eitherCaseContractions) {
      contractions = .eitherCase
    } else {
      contractions = .none
    }

    if take([#" ?\p{L}+"#, #" ?\p{L}++"#]) {
      words = .afterSpace
    } else if take([#"[^\r\n\p{L}\p{N}]?\p{L}+"#, #"[^\r\n\p{L}\p{N}]?+\p{L}+"#, #"[^\r\n\p{L}\p{N}]?+\p{L}++"#]) {
      words = .afterAnySign
    } else if take([#"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+"#]) {
      words = .afterAnySignWithMarks
    } else if let suffix = SplitRules.casedWords(&alternatives) {
      words = .byCase(suffix)
    } else {
      return nil
    }

    if take([#" ?\p{N}+"#, #" ?\p{N}++"#]) {
      numbers = .afterSpace
    } else if take([#"\p{N}{1,3}"#, #"\p{N}{1,3}+"#]) {
      numbers = .upTo(3)
    } else if take([#"\p{N}"#, #"\p{N}{1}"#]) {
      numbers = .upTo(1)
    } else {
      return nil
    }
    // A space before letters and one before digits come together.
    guard (words == .afterSpace) == (numbers == .afterSpace) else { return nil }

    let signs =
      words == .afterAnySignWithMarks ? #" ?[^\s\p{L}\p{M}\p{N}]+"# : #" ?[^\s\p{L}\p{N}]+"#
    if take([signs, signs + "+"]) {
      signsEnd = .none
    } else if take([signs + #"[\r\n]*"#, signs + #"+[\r\n]*"#]) {
      signsEnd = .newlines
    } else if take([signs + #"[\r\n/]*"#, signs + #"+[\r\n/]*"#]) {
      signsEnd = .newlinesAndSlashes
    } else {
      return nil
    }

    // Equal: the greedy spaces give back no more than one line end either way.
    cutsAfterNewlines = take([#"\s*[\r\n]+"#, #"\s*[\r\n]"#])
    guard take([#"\s+(?!\S)"#]) else { return nil }
    _ = take([#"\s+"#])  // what no alternative matches is a piece of its own: the same
    guard alternatives.isEmpty else { return nil }
  }

  private static let foldedContractions = ["(?i:'s|'t|'re|'ve|'m|'ll|'d)", "'(?i:[sdmt]|ll|ve|re)"]
  private static let eitherCaseContractions = ["(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"]

  /// The two alternatives of `Words.byCase`, with the contraction that may follow both.
  private static func casedWords(_ alternatives: inout ArraySlice<String>) -> Contractions? {
    let lead = #"[^\r\n\p{L}\p{N}]?"#
    let upper = #"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"#
    let lower = #"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"#
    let suffixes: [(String, Contractions)] =
      [("", .none)] + foldedContractions.map { ($0 + "?", .folded) }
      + eitherCaseContractions.map { ($0 + "?", .eitherCase) }
    guard alternatives.count >= 2 else { return nil }
    let first = alternatives[alternatives.startIndex]
    let second = alternatives[alternatives.startIndex + 1]
    for (text, contractions) in suffixes
    where first == lead + upper + "*" + lower + "+" + text && second == lead + upper + "+" + lower + "*" + text {
      alternatives.removeFirst(2)
      return contractions
    }
    return nil
  }

  /// The alternatives at the outermost level, line ends written as escapes.
  private static func alternatives(of pattern: String) -> [String] {
    var parts: [String] = []
    var part = ""
    var depth = 0
    var inClass = false
    var escaped = false
    for scalar in pattern.unicodeScalars {
      switch scalar {
      case "\r": part += "\\r"
      case "\n": part += "\\n"
      case "|" where depth == 0 && !inClass && !escaped:
        parts.append(part)
        part = ""
      default: part.unicodeScalars.append(scalar)
      }
      if escaped {
        escaped = false
        continue
      }
      switch scalar {
      case "\\": escaped = true
      case "[": inClass = true
      case "]": inClass = false
      case "(" where !inClass: depth += 1
      case ")" where !inClass: depth -= 1
      default: break
      }
    }
    return parts + [part]
  }
}

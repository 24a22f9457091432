/// The tokens at which a model is farthest from its reference, each at the end of what came before it.
struct WorstTokens {
  let tokens: [DriftReport.WorstToken]

  /// No token or context of an honest text comes near these, in scalars.
  private static let longestContext = 400
  private static let longestToken = 80

  func add(to page: inout Markup) {
    page.element("ol", ["class": "tokens"]) { list in
      for token in tokens {
        list.element("li") { item in
          item.element("div") { text in
            text.element("p", ["class": "context mono"]) { line in
              line.element("span", ["class": "soft"], "…" + WorstTokens.end(of: token.before))
              line.element("mark", WorstTokens.visible(token.token))
            }
            text.element(
              "p", ["class": "soft small"],
              "chunk \(Figures.count(token.chunk)), token \(Figures.count(token.position))")
          }
          item.element("dl") { facts in
            add("divergence", nil, "\(Figures.significant(token.divergence, 3)) nats", to: &facts)
            add("reference", token.referenceChoice, WorstTokens.chance(token.referenceProbability), to: &facts)
            add("this model", token.candidateChoice, WorstTokens.chance(token.candidateProbability), to: &facts)
          }
        }
      }
    }
  }

  private func add(_ name: String, _ choice: String?, _ number: String, to facts: inout Markup) {
    facts.element("dt", name)
    facts.element("dd") { cell in
      if let choice { cell.element("span", ["class": "piece mono"], WorstTokens.visible(choice)) }
    }
    facts.element("dd", ["class": "number"], number)
  }

  /// A probability as percent, `< 0.01 %` where it is next to nothing.
  private static func chance(_ probability: Double) -> String {
    probability > 0 && probability < 0.0001 ? "< 0.01 %" : Figures.percent(probability, probability < 0.1 ? 2 : 1)
  }

  /// A token with its blanks to be seen: `␣` for spaces at its ends, `↵` for line breaks, `⇥` for tabs.
  static func visible(_ token: String) -> String {
    guard !token.isEmpty else { return "∅" }
    var scalars = Array(token.unicodeScalars.prefix(longestToken + 1))
    let isCut = scalars.count > longestToken
    if isCut { scalars.removeLast() }
    let first = scalars.firstIndex { $0 != " " } ?? scalars.count
    let last = scalars.lastIndex { $0 != " " } ?? -1
    var out = ""
    for (index, scalar) in scalars.enumerated() {
      switch scalar {
      case " " where index < first || index > last: out += "␣"
      case "\n": out += "↵"
      case "\t": out += "⇥"
      default: out.unicodeScalars.append(scalar)
      }
    }
    return isCut ? out + "…" : out
  }

  /// The end of a context on one line.
  private static func end(of text: String) -> String {
    var out = ""
    for scalar in text.unicodeScalars.suffix(longestContext) {
      switch scalar {
      case "\n": out += "↵ "
      case "\t": out += "⇥"
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out
  }
}

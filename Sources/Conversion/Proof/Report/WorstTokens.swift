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
              line.element("span", ["class": "soft"], "… " + WorstTokens.end(of: token.before))
              line.element("mark", WorstTokens.visible(token.token))
            }
            text.element(
              "p", ["class": "soft small"],
              "\(Figures.significant(token.divergence, 3)) nats at token \(Figures.count(token.position)) of chunk "
                + Figures.count(token.chunk))
          }
          item.element("table") { add(token, to: &$0) }
        }
      }
    }
  }

  private func add(_ token: DriftReport.WorstToken, to table: inout Markup) {
    table.element("thead") { head in
      head.element("tr") { row in
        row.element("td", "")
        row.element("th", ["scope": "col", "class": "left"], "likeliest")
        row.element("th", ["scope": "col"], "p of what came")
      }
    }
    table.element("tbody") { body in
      for (name, choice, chance) in [
        ("reference", token.referenceChoice, token.referenceProbability),
        ("this model", token.candidateChoice, token.candidateProbability),
      ] {
        body.element("tr") { row in
          row.element("th", ["scope": "row", "class": "left"], name)
          row.element("td", ["class": "left wrap"]) {
            $0.element("span", ["class": "piece mono"], WorstTokens.visible(choice))
          }
          row.element("td", WorstTokens.chance(chance))
        }
      }
    }
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

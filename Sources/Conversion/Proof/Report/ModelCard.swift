import Bytes

extension DriftReport {
  /// A table for a model card, with the columns of the page, and how it was measured.
  package var markdown: String {
    let table = Comparison(self)
    let columns = Comparison.columns.map { $0.unit.isEmpty ? $0.name : "\($0.name) (\($0.unit))" }
    var lines = [
      MarkdownText.row(["model", "type"] + columns),
      MarkdownText.row([":--", ":--"] + columns.map { _ in "--:" }),
      MarkdownText.row(
        [MarkdownText.escaped(table.reference.name), "reference"] + table.reference.values.map { $0?.text ?? "" }),
    ]
    for row in table.candidates {
      lines.append(
        MarkdownText.row(
          [MarkdownText.escaped(row.name), MarkdownText.escaped(row.type)] + row.values.map { $0?.text ?? "" }))
    }
    lines.append("")
    lines.append("Measured with quern \(version): " + MarkdownText.escaped(Comparison.method(self)))
    if !text.sha256.isEmpty { lines[lines.count - 1] += " Text: sha256 `\(MarkdownText.escaped(text.sha256))`." }
    for candidate in candidates where !candidate.gates.isEmpty {
      let said = candidate.gates.map {
        "\($0.name) \(Figures.significant($0.value, 4)) (limit \(Figures.plain($0.limit)))"
          + ($0.passed ? "" : " **failed**")
      }
      let name = MarkdownText.escaped(candidate.name)
      lines += [
        "", "Gates of \(name): \(candidate.passed ? "passed" : "**failed**"). \(said.joined(separator: ", ")).",
      ]
    }
    return lines.joined(separator: "\n") + "\n"
  }
}

/// The few things of Markdown that tables need.
enum MarkdownText {
  static func row(_ cells: [String]) -> String { "| " + cells.joined(separator: " | ") + " |" }

  /// `text` on one line, without the characters by which Markdown or HTML would read more into it.
  static func escaped(_ text: String) -> String {
    var out = ""
    for scalar in printable(text, limit: 2000).unicodeScalars {
      switch scalar {
      case "<": out += "&lt;"
      case ">": out += "&gt;"
      case "&": out += "&amp;"
      case "\\", "|", "`", "*", "_", "[", "]", "#", "~", "$": out += "\\" + String(scalar)
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out
  }
}

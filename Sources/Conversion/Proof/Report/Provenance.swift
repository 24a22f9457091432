/// What was compared with what, and how to find it again.
struct Provenance {
  typealias Fact = (name: String, value: String)

  /// Beyond so many scalars a value is cut.
  private static let longest = 300

  /// Of the whole report: the reference, the text, the program.
  static func facts(of report: DriftReport) -> [Fact] {
    let (reference, text) = (report.reference, report.text)
    return [
      ("reference", reference.name), ("its format", reference.format),
      ("its size", size(reference.fileBytes, reference.bitsPerWeight)),
    ] + (reference.sha256.map { [("its sha256", $0)] } ?? [])
      + [
        ("text", text.name), ("its sha256", text.sha256),
        ("scored", "\(Figures.count(text.tokensScored)) tokens, \(text.chunks) chunks of \(text.context)"),
        ("arithmetic", report.arithmetic), ("measured by", "quern \(report.version)"),
      ].filter { !$0.1.isEmpty }
  }

  /// Of one candidate: its file and what its metadata say of its making.
  static func facts(of candidate: DriftReport.Candidate) -> [Fact] {
    [
      ("file", candidate.name), ("type", candidate.fileType),
      ("size", size(candidate.fileBytes, candidate.bitsPerWeight)),
    ]
      + (candidate.sha256.map { [("sha256", $0)] } ?? [])
      + candidate.provenance.map { ($0.key, withoutFolders($0.value)) }
  }

  private static func size(_ bytes: Int, _ bits: Double) -> String {
    "\(megabytes(bytes)) (\(Figures.count(bytes)) bytes), \(Figures.signed(bits, 3)) bits a weight"
  }

  /// A path from the root of somebody's machine says less than its last part, and is nobody's business.
  private static func withoutFolders(_ value: String) -> String {
    let isPath =
      value.hasPrefix("/") || value.hasPrefix("~/") || value.hasPrefix("\\\\")
      || (value.dropFirst().hasPrefix(":\\") && value.first?.isLetter == true)
    return isPath ? value.split { $0 == "/" || $0 == "\\" }.last.map(String.init) ?? value : value
  }

  static func add(_ facts: [Fact], to page: inout Markup) {
    page.element("dl", ["class": "facts"]) { list in
      for fact in facts {
        list.element("dt", cut(fact.name))
        list.element("dd", ["class": isDigest(fact.value) ? "mono" : "number-free"], cut(fact.value))
      }
    }
  }

  private static func isDigest(_ value: String) -> Bool {
    value.utf8.count == 64 && value.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
  }

  private static func cut(_ text: String) -> String {
    let scalars = text.unicodeScalars
    guard scalars.count > longest else { return text }
    var out = ""
    out.unicodeScalars.append(contentsOf: scalars.prefix(longest))
    return out + "…"
  }
}

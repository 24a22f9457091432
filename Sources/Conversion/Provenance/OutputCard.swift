import Bytes
public import Tensors

/// A model card for an output: front matter that Hugging Face reads, what the files are, how they were made, and what was lost
/// where that was measured.
public struct OutputCard: Sendable {
  /// An output that the card tells of.
  public struct Row: Sendable {
    let type: String
    let files: [WrittenFile]
    let bitsPerWeight: Double

    public init(type: String, files: [WrittenFile], bitsPerWeight: Double) {
      (self.type, self.files, self.bitsPerWeight) = (type, files, bitsPerWeight)
    }
  }

  private let name: String
  private let metadata: Metadata
  private let row: Row
  private let provenance: ConversionProvenance?
  private let drift: DriftReport?

  /// - Parameters:
  ///   - name: of the model that was converted.
  ///   - metadata: of the output.
  ///   - drift: as `--verify` measured it.
  public init(
    of name: String, _ metadata: Metadata, _ row: Row, provenance: ConversionProvenance?, drift: DriftReport?
  ) {
    (self.name, self.metadata, self.row, self.provenance, self.drift) = (name, metadata, row, provenance, drift)
  }

  public var text: String {
    var lines = frontMatter + ["", "# \(MarkdownText.escaped(name)) \(MarkdownText.escaped(row.type)), GGUF", ""]
    lines += [
      MarkdownText.row(["Filename", "Quant type", "File size", "Bits a weight"]),
      MarkdownText.row([":--", ":--", "--:", "--:"]),
    ]
    for file in row.files {
      lines.append(
        MarkdownText.row([
          MarkdownText.escaped(ProofFacts.name(file.path)), MarkdownText.escaped(row.type), megabytes(file.bytes),
          decimals(row.bitsPerWeight, 2),
        ]))
    }
    if row.files.count > 1 { lines += ["", "The files are one model: keep them in one folder and open the first."] }
    if let drift { lines += ["", "## What was lost", "", drift.markdown.trimmed] }
    lines += ["", "## How it was made", ""]
    lines.append(
      "By quern \(Version.current)" + (provenance.map { ": " + MarkdownText.escaped($0.recipeText(row.type)) } ?? "")
        + ".")
    if let provenance, !provenance.sources.isEmpty {
      lines += ["", MarkdownText.row(["Made from", "SHA-256"]), MarkdownText.row([":--", ":--"])]
      lines += provenance.sources.map { MarkdownText.row([MarkdownText.escaped($0.name), "`\($0.sha256)`"]) }
    }
    lines += ["", "## SHA-256", "", "```"]
    lines += row.files.map { "\($0.sha256)  \(printable(ProofFacts.name($0.path)))" } + ["```"]
    return lines.joined(separator: "\n") + "\n"
  }

  /// Texts are in double quotes, where YAML reads them as JSON does.
  private var frontMatter: [String] {
    func quoted(_ text: String) -> String { JSONText.string(text).text() }
    func list(_ texts: [String]) -> [String] { texts.map { "- " + quoted($0) } }
    var lines = ["---"]
    let address = "https://huggingface.co/"
    if let source = metadata["general.source.repo_url"]?.string, source.hasPrefix(address) {
      lines += ["base_model: " + quoted(String(source.dropFirst(address.count))), "base_model_relation: quantized"]
    }
    lines.append("quantized_by: " + quoted(provenance?.quantizedBy ?? "Quern \(Version.current)"))
    for (key, name) in [("license", "license"), ("license.name", "license_name"), ("license.link", "license_link")] {
      if let text = metadata["general." + key]?.string { lines.append("\(name): " + quoted(text)) }
    }
    if let languages = metadata["general.languages"]?.strings { lines += ["language:"] + list(languages) }
    let tags = (metadata["general.tags"]?.strings ?? []).filter { $0 != "gguf" }
    return lines + ["tags:"] + list(["gguf"] + tags) + ["---"]
  }
}

extension String {
  fileprivate var trimmed: String { String(reversed().drop(while: \.isNewline).reversed()) }
}

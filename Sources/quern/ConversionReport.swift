import Bytes
import Conversion
import Quantization

/// What `quern convert` says of what it made.
struct ConversionReport {
  /// An output that was published.
  struct Output {
    /// The path that it was asked for under.
    var asked: String
    var recipe: Recipe
    var plan: ConversionPlan
    var written: Converter.Written
    /// Beside it, if that was asked for.
    var attestation: Attestation?

    /// To open it by.
    var path: String { written.files[0].path }

    /// What a person should know beside that it was made.
    var notes: [String] {
      let resumed = written.resumedBytes
      return (resumed > 0 ? ["\(megabytes(resumed)) of \(megabytes(written.fileBytes)) were there already"] : [])
        + written.fallbacks.map(\.line)
    }
  }

  var outputs: [Output]
  /// Whether more than one was asked for.
  var isOfSeveral: Bool
  var seconds: Double
  var isCalibrated: Bool
  var drift: DriftReport?

  var json: JSONText {
    let run: [(String, JSONText)] = [
      ("seconds", .double(seconds)), ("bytes_read", .int(outputs.first?.written.bytesRead ?? 0)),
      ("bytes_written", .int(outputs.reduce(0) { $0 + $1.written.fileBytes - $1.written.resumedBytes })),
      ("peak_rss_bytes", .int(Machine.peakResidentBytes)),
    ]
    let report = drift.map { [("verify", $0.json)] } ?? []
    guard !isOfSeveral, let output = outputs.first else {
      return .object([("outputs", .array(outputs.map { .object(members($0)) }))] + run + report)
    }
    return .object(members(output) + run + report)
  }

  private func members(_ output: Output) -> [(String, JSONText)] {
    let files = output.written.files
    return [
      ("output", .string(output.path)), ("file_bytes", .int(output.written.fileBytes)),
      ("bits_per_weight", .double(output.plan.bitsPerWeight)), ("tensors", .int(output.plan.entries.count)),
      ("resumed_bytes", .int(output.written.resumedBytes)),
      ("sha256", files.count == 1 ? .string(files[0].sha256) : .null), ("files", .array(files.map(\.json))),
    ] + attested(output) + (isCalibrated ? [("without_feedback", .array(output.written.fallbacks.map(\.json)))] : [])
  }

  private func attested(_ output: Output) -> [(String, JSONText)] {
    output.attestation.map { [("sums", .string($0.paths.sums)), ("statement", .string($0.paths.statement))] } ?? []
  }

  var text: String {
    let made = outputs.map { output in
      var lines = [
        "\(output.path): \(megabytes(output.written.fileBytes)), \(decimals(output.plan.bitsPerWeight, 2)) bits a weight, "
          + "\(output.plan.entries.count) tensors"
          + (output.written.files.count > 1 ? " in \(output.written.files.count) files" : "")
          + (isOfSeveral ? "" : ", \(decimals(seconds, 1)) s")
      ]
      for file in output.written.files {
        lines.append("sha256 \(file.sha256)" + (output.written.files.count > 1 ? "  \(file.path)" : ""))
      }
      return lines.joined(separator: "\n")
    }
    let time = isOfSeveral ? ["all in \(decimals(seconds, 1)) s"] : []
    return (made + time + (drift.map { ["\n" + $0.summary] } ?? [])).joined(separator: "\n")
  }
}

extension ConversionPlan {
  /// For `--dry-run`: a row a tensor.
  func text(output: String) -> String {
    let names = OutputSet.names(output, layouts)
    var table = TextTable(
      columns: ["tensor", "from", "to", "shape", "bytes"] + (names.count > 1 ? ["file"] : []) + ["offset", ""])
    for entry in entries {
      table.add(
        [
          printable(entry.source.name), entry.source.dtype.name, entry.type.name, entry.source.shape.description,
          "\(entry.byteCount)",
        ] + (names.count > 1 ? ["\(entry.file + 1)"] : []) + ["\(entry.offset)", entry.note ?? ""])
    }
    var lines = [table.text]
    if names.count > 1 {
      for (name, layout) in zip(names, layouts) {
        lines.append("\(name): \(megabytes(layout.fileSize)), \(layout.entries.count) tensors")
      }
    }
    lines.append(
      "\(names[0]) would have \(megabytes(fileBytes))\(names.count > 1 ? " with the \(names.count - 1) others" : ""), "
        + "\(decimals(bitsPerWeight, 2)) bits a weight; nothing was written")
    return lines.joined(separator: "\n")
  }
}

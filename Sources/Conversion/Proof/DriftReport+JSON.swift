public import Bytes
import Models

extension DriftReport {
  /// One candidate's object with the reference, the text and the versions beside its own keys; of several candidates,
  /// `reference`, `candidates` and `passed`.
  public var json: JSONText {
    let shared: [(String, JSONText)] =
      [
        ("reference", reference.json), ("text", text.json), ("arithmetic", .string(arithmetic)),
        ("version", .string(version)), ("notes", .array(notes.map { .string($0) })),
      ] + (floor.map { [("floor", $0.json)] } ?? [])
    if candidates.count == 1 { return .object(candidates[0].members(text) + shared) }
    return .object(
      shared + [("candidates", .array(candidates.map { .object($0.members(text)) })), ("passed", .bool(passed))])
  }
}

extension DriftReport.Reference {
  var json: JSONText {
    .object([
      ("name", .string(name)), ("path", .string(path)), ("format", .string(format)), ("file_bytes", .int(fileBytes)),
      ("bits_per_weight", .double(bitsPerWeight)), ("sha256", sha256.map { .string($0) } ?? .null),
    ])
  }
}

extension DriftReport.TextFacts {
  var json: JSONText {
    .object([("name", .string(name)), ("path", .string(path)), ("sha256", .string(sha256))])
  }
}

extension DriftReport.Candidate {
  fileprivate func members(_ text: DriftReport.TextFacts) -> [(String, JSONText)] {
    [
      ("name", .string(name)), ("path", .string(path)), ("file_type", .string(fileType)),
      ("sha256", sha256.map { .string($0) } ?? .null),
    ] + drift.members + [
      ("layers", .array(layers.map(\.json))), ("tensors", .array(tensors.map(\.json))),
      ("worst_tokens", .array(worst.map(\.json))), ("bits_per_weight", .double(bitsPerWeight)),
      ("file_bytes", .int(fileBytes)), ("tokens_scored", .int(drift.count)), ("chunks", .int(text.chunks)),
      ("context", .int(text.context)),
      ("provenance", .object(provenance.map { ($0.key, .string($0.value)) })),
      (
        "differences",
        .array(
          differences.map {
            .object([
              ("key", .string($0.key)), ("reference", .string($0.reference)), ("candidate", .string($0.candidate)),
            ])
          })
      ),
      ("largest_layer", largestLayer.map(\.json) ?? .null), ("largest_tensor", largestTensor.map(\.json) ?? .null),
      (
        "gates",
        .array(
          gates.map { gate in
            .object([
              ("name", .string(gate.name)), ("limit", .double(gate.limit)), ("value", .double(gate.value)),
              ("passed", .bool(gate.passed)),
            ])
          })
      ),
      ("passed", .bool(passed)),
    ]
  }
}

extension DriftReport.LayerRow {
  fileprivate var json: JSONText {
    .object([
      ("layer", .int(layer)), ("relative_rms_error", .double(relativeRMSError)), ("cosine", .double(cosine)),
      ("added", .double(added)),
    ])
  }
}

extension DriftReport.TensorRow {
  fileprivate var json: JSONText {
    .object([
      ("name", .string(name)), ("type", .string(type.name)), ("bits_per_weight", .double(bitsPerWeight)),
      ("elements", .int(elements)), ("relative_rms_error", relativeRMSError.map { .double($0) } ?? .null),
      ("attributed_divergence", attributedDivergence.map { .double($0) } ?? .null),
    ])
  }
}

extension DriftReport.WorstToken {
  fileprivate var json: JSONText {
    .object([
      ("chunk", .int(chunk)), ("position", .int(position)), ("before", .string(before)), ("token", .string(token)),
      ("reference_choice", .string(referenceChoice)), ("candidate_choice", .string(candidateChoice)),
      ("divergence", .double(divergence)), ("reference_probability", .double(referenceProbability)),
      ("candidate_probability", .double(candidateProbability)),
    ])
  }
}

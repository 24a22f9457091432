import Bytes

/// An in-toto statement of how files were made: in-toto's Statement v1 with a predicate of SLSA provenance v1, to be signed by
/// whoever answers for them.
///
/// Subjects are the files; `resolvedDependencies` what they were made from; `byproducts` their parts, the header and every tensor,
/// so that a reader of damaged bytes can name what is damaged.
struct ProvenanceStatement {
  static let type = "https://in-toto.io/Statement/v1"
  static let predicateType = "https://slsa.dev/provenance/v1"
  /// What the recipe means, for readers of statements.
  static let buildType = "urn:quern:convert:v1"

  let provenance: ConversionProvenance
  /// What the files are quantized to.
  let fileType: String
  let files: [WrittenFile]
  let parts: [PublishedDigests.Part]

  var json: JSONText {
    .object([
      ("_type", .string(ProvenanceStatement.type)),
      ("subject", .array(files.map { resource(ProofFacts.name($0.path), $0.sha256) })),
      ("predicateType", .string(ProvenanceStatement.predicateType)),
      ("predicate", .object([("buildDefinition", definition), ("runDetails", details)])),
    ])
  }

  private var definition: JSONText {
    let inputs =
      provenance.sources.map { ($0, "source") } + provenance.texts.map { ($0, "calibration") }
      + (provenance.imatrix.map { [($0, "imatrix")] } ?? [])
    return .object([
      ("buildType", .string(ProvenanceStatement.buildType)),
      (
        "externalParameters",
        .object(
          [
            ("quantized_by", .string(provenance.quantizedBy)), ("method", .string(provenance.method)),
            ("type", .string(fileType)),
          ] + [("recipe", .object(provenance.recipe.map { ($0.name, .string($0.value)) }.grouped))])
      ),
      (
        "resolvedDependencies",
        .array(
          inputs.map { file, role in
            resource(file.name, file.sha256, annotations: [("role", .string(role)), ("bytes", .int(file.bytes))])
          })
      ),
    ])
  }

  private var details: JSONText {
    .object([
      (
        "builder",
        .object([("id", .string("urn:quern")), ("version", .object([("quern", .string(Version.current))]))])
      ),
      (
        "byproducts",
        .array(
          parts.map { part in
            resource(
              part.name, part.sha256,
              annotations: [
                ("part", .string(part.isHeader ? "header" : "tensor")), ("file", .string(part.file)),
                ("offset", .int(part.offset)), ("bytes", .int(part.bytes)),
              ])
          })
      ),
    ])
  }

  /// in-toto's ResourceDescriptor.
  private func resource(_ name: String, _ sha256: String, annotations: [(String, JSONText)] = []) -> JSONText {
    .object(
      [("name", .string(name)), ("digest", .object([("sha256", .string(sha256))]))]
        + (annotations.isEmpty ? [] : [("annotations", .object(annotations))]))
  }
}

extension [(String, JSONText)] {
  /// Members with one name become one with an array.
  fileprivate var grouped: [(String, JSONText)] {
    var out: [(String, [JSONText])] = []
    for (name, value) in self {
      if let index = out.firstIndex(where: { $0.0 == name }) {
        out[index].1.append(value)
      } else {
        out.append((name, [value]))
      }
    }
    return out.map { ($0.0, $0.1.count == 1 ? $0.1[0] : .array($0.1)) }
  }
}

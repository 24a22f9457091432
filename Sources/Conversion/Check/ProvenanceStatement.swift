/// An in-toto statement of how files were made (in-toto attestation framework, Statement v1, with SLSA provenance v1).
struct ProvenanceStatement {
  static let type = "https://in-toto.io/Statement/v1"
}

import Bytes
import Crypto
import GGUF
import Models
import Quantization
import Tensors
import Tokenizers

/// What a report says of models beside what was measured.
enum ProofFacts {
  /// The last component of a path that says something.
  static func name(_ path: String) -> String {
    path.split(separator: "/").last { $0 != "." && $0 != ".." }.map(String.init) ?? path
  }

  static func format(_ model: ModelInput) -> String {
    switch model.origin {
    case .gguf: "GGUF"
    case .checkpoint(let checkpoint): checkpoint.format.rawValue
    }
  }

  /// What `general.file_type` means, or else the type of most weights.
  static func fileType(_ model: ModelInput) -> String {
    if case .gguf = model.origin, let number = model.metadata["general.file_type"]?.integer,
      let type = UInt32(exactly: number).flatMap(FileType.init(rawValue:))
    {
      return type.name
    }
    var elements: [DType: Int] = [:]
    for tensor in model.model.tensors { elements[tensor.dtype, default: 0] += tensor.shape.elementCount }
    return elements.max { ($0.value, $1.key.name) < ($1.value, $0.key.name) }?.key.name ?? "?"
  }

  /// Of the one file that holds the model; `nil` of several.
  static func sha256(of model: ModelInput) throws -> String? {
    let file: RandomAccessFile
    switch model.origin {
    case .gguf(let gguf):
      guard gguf.files.count == 1 else { return nil }
      file = gguf.files[0].file
    case .checkpoint(let checkpoint):
      guard checkpoint.inputFiles.count == 1 else { return nil }
      file = checkpoint.inputFiles[0]
    }
    return try file.sha256(of: 0..<file.size)
  }

  static func sha256(_ bytes: [UInt8]) -> String { hexadecimalText(SHA256.hash(data: bytes)) }

  /// How the file says that it was made.
  static func provenance(_ model: ModelInput) -> [(key: String, value: String)] {
    guard case .gguf(let gguf) = model.origin else { return [] }
    return gguf.metadata.entries.filter { key, _ in
      key == "general.quantized_by" || key.hasPrefix("quern.") || key.hasPrefix("quantize.imatrix.")
    }.map { ($0.key, text($0.value)) }
  }

  /// The keys of the architecture and of the tokenizer in which `model` is not `reference`. A key that only one of the files
  /// states is none, if the other means the same by its absence.
  static func differences(
    of model: ModelInput, from reference: ModelInput
  ) -> [DriftReport.ParameterDifference] {
    var found = model.model.parameters.differences(from: reference.model.parameters).map {
      DriftReport.ParameterDifference(key: $0.key, reference: text($0.reference), candidate: text($0.candidate))
    }
    for (key, value) in model.metadata.entries where key.hasPrefix("tokenizer.ggml.") {
      guard let other = reference.metadata[key], other != value else { continue }
      // Numbers of any width are the same number.
      if let a = value.integer, a == other.integer { continue }
      found.append(.init(key: key, reference: text(other), candidate: text(value)))
    }
    return found
  }

  /// What was measured of `model`, with what is said of it beside.
  /// - Parameters:
  ///   - differences: from the reference; `nil` where that is no model.
  ///   - hashes: whether its file is read whole for a digest.
  static func row(
    _ model: ModelInput, _ drift: Drift, layers: [DriftReport.LayerRow] = [], tensors: [DriftReport.TensorRow] = [],
    worst: [DriftReport.WorstToken] = [], differences: [DriftReport.ParameterDifference]? = nil, gates: Gates,
    hashes: Bool
  ) throws -> DriftReport.Candidate {
    DriftReport.Candidate(
      name: name(model.path), path: model.path, fileType: fileType(model), fileBytes: model.fileBytes,
      bitsPerWeight: model.bitsPerWeight, sha256: hashes ? try sha256(of: model) : nil, drift: drift, layers: layers,
      tensors: tensors, worst: worst, gates: gates.results(for: drift, layers: layers, differences: differences),
      provenance: provenance(model), differences: differences ?? [])
  }

  /// A position of the walk in words.
  static func worst(_ token: WorstPosition, _ chunks: TextChunks, _ tokenizer: Tokenizer) -> DriftReport.WorstToken {
    func text(_ ids: [Int32]) -> String { String(decoding: tokenizer.decode(ids), as: UTF8.self) }
    let input = chunks.input(token.chunk)
    let before = input[max(0, token.position + 1 - 20)...token.position]
    return DriftReport.WorstToken(
      chunk: token.chunk, position: token.position + 1, before: text(Array(before)),
      token: text([chunks.target(token.chunk, after: token.position)]),
      referenceChoice: text([token.drift.referenceChoice]), candidateChoice: text([token.drift.quantizedChoice]),
      divergence: token.drift.divergence,
      referenceProbability: LogLikelihood.probability(token.drift.reference),
      candidateProbability: LogLikelihood.probability(token.drift.quantized))
  }

  private static func text(_ value: MetadataValue?) -> String {
    guard let value else { return "not stated" }
    if let string = value.string { return string }
    if let integer = value.integer { return "\(integer)" }
    switch value {
    case .float32(let number): return "\(number)"
    case .float64(let number): return "\(number)"
    case .bool(let value): return "\(value)"
    case .strings(let values): return "\(values.count) strings"
    default: return "an array"
    }
  }
}

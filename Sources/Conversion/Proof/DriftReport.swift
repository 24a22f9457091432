public import Models
public import Tensors

/// What `quern verify` says of models made from one reference.
public struct DriftReport: Sendable {
  public struct Reference: Sendable {
    public var name: String
    public var path: String
    public var format: String
    public var fileBytes: Int
    public var bitsPerWeight: Double
    public var sha256: String?

    package init(name: String, path: String, format: String, fileBytes: Int, bitsPerWeight: Double, sha256: String?) {
      self.name = name
      self.path = path
      self.format = format
      self.fileBytes = fileBytes
      self.bitsPerWeight = bitsPerWeight
      self.sha256 = sha256
    }
  }

  public struct TextFacts: Sendable {
    public var path: String
    public var name: String
    public var sha256: String
    public var chunks: Int
    public var context: Int
    public var tokensScored: Int

    package init(path: String, name: String, sha256: String, chunks: Int, context: Int, tokensScored: Int) {
      self.path = path
      self.name = name
      self.sha256 = sha256
      self.chunks = chunks
      self.context = context
      self.tokensScored = tokensScored
    }
  }

  public struct LayerRow: Sendable {
    public var layer: Int
    /// Of the hidden state after the layer.
    public var relativeRMSError: Double
    public var cosine: Double
    /// How much of the error this layer itself added.
    public var added: Double

    package init(layer: Int, relativeRMSError: Double, cosine: Double, added: Double) {
      self.layer = layer
      self.relativeRMSError = relativeRMSError
      self.cosine = cosine
      self.added = added
    }
  }

  public struct TensorRow: Sendable {
    public var name: String
    public var type: DType
    public var bitsPerWeight: Double
    /// ‖w′ − w‖ / ‖w‖; `nil` for a tensor that the reference has not.
    public var relativeRMSError: Double?
    /// Mean divergence when this tensor alone is quantized, in nats; `nil` where it was not asked for.
    public var attributedDivergence: Double?
    public var elements: Int

    package init(
      name: String, type: DType, bitsPerWeight: Double, relativeRMSError: Double?, attributedDivergence: Double?,
      elements: Int
    ) {
      self.name = name
      self.type = type
      self.bitsPerWeight = bitsPerWeight
      self.relativeRMSError = relativeRMSError
      self.attributedDivergence = attributedDivergence
      self.elements = elements
    }
  }

  public struct WorstToken: Sendable {
    public var chunk: Int
    public var position: Int
    public var before: String
    /// The token that came.
    public var token: String
    public var referenceChoice: String
    public var candidateChoice: String
    public var divergence: Double
    /// Of the token that came.
    public var referenceProbability: Double
    public var candidateProbability: Double

    package init(
      chunk: Int, position: Int, before: String, token: String, referenceChoice: String, candidateChoice: String,
      divergence: Double, referenceProbability: Double, candidateProbability: Double
    ) {
      self.chunk = chunk
      self.position = position
      self.before = before
      self.token = token
      self.referenceChoice = referenceChoice
      self.candidateChoice = candidateChoice
      self.divergence = divergence
      self.referenceProbability = referenceProbability
      self.candidateProbability = candidateProbability
    }
  }

  public struct ParameterDifference: Hashable, Sendable {
    /// Its GGUF key.
    public var key: String
    public var reference: String
    public var candidate: String
    package init(key: String, reference: String, candidate: String) {
      (self.key, self.reference, self.candidate) = (key, reference, candidate)
    }
  }

  public struct Candidate: Sendable {
    public var name: String
    public var path: String
    public var fileType: String
    public var fileBytes: Int
    public var bitsPerWeight: Double
    public var sha256: String?
    public var drift: Drift
    public var layers: [LayerRow]
    public var tensors: [TensorRow]
    public var worst: [WorstToken]
    public var gates: [Gates.Result]
    public var provenance: [(key: String, value: String)]
    public var differences: [ParameterDifference]
    public var passed: Bool { gates.allSatisfy(\.passed) }

    package init(
      name: String, path: String, fileType: String, fileBytes: Int, bitsPerWeight: Double, sha256: String?,
      drift: Drift, layers: [LayerRow], tensors: [TensorRow], worst: [WorstToken], gates: [Gates.Result],
      provenance: [(key: String, value: String)],
      differences: [ParameterDifference]
    ) {
      self.name = name
      self.path = path
      self.fileType = fileType
      self.fileBytes = fileBytes
      self.bitsPerWeight = bitsPerWeight
      self.sha256 = sha256
      self.drift = drift
      self.layers = layers
      self.tensors = tensors
      self.worst = worst
      self.gates = gates
      self.provenance = provenance
      self.differences = differences
    }
  }

  public var reference: Reference
  public var candidates: [Candidate]
  public var text: TextFacts
  public var arithmetic: String
  public var version: String

  package init(reference: Reference, candidates: [Candidate], text: TextFacts, arithmetic: String, version: String) {
    self.reference = reference
    self.candidates = candidates
    self.text = text
    self.arithmetic = arithmetic
    self.version = version
  }
}

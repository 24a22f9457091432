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
  }

  public struct TextFacts: Sendable {
    public var path: String
    public var name: String
    public var sha256: String
    public var chunks: Int
    public var context: Int
    public var tokensScored: Int
  }

  public struct LayerRow: Sendable {
    public var layer: Int
    /// Of the hidden state after the layer.
    public var relativeRMSError: Double
    public var cosine: Double
    /// How much of the error this layer itself added.
    public var added: Double
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
    public var passed: Bool { gates.allSatisfy(\.passed) }
  }

  public var reference: Reference
  public var candidates: [Candidate]
  public var text: TextFacts
  public var arithmetic: String
  public var version: String
}

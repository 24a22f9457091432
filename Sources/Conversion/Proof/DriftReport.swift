public import Models
public import Tensors

/// What `quern verify` says of models that were made from one reference.
public struct DriftReport: Sendable {
  public var reference: Reference
  /// At least one, in the order of the command line.
  public var candidates: [Candidate]
  public var text: TextFacts
  /// In what the forward pass computed: `f32`.
  public var arithmetic: String
  /// Of quern.
  public var version: String
  /// How far that is from F32, where it was measured.
  public var floor: ArithmeticFloor?
  /// What a reader must know of the numbers, a sentence each.
  public var notes: [String] = []

  /// The notes, and the floor in words.
  var remarks: [String] { (floor.map { [$0.text + ": nothing below is told apart"] } ?? []) + notes }

  public var passed: Bool { candidates.allSatisfy(\.passed) }

  /// What failed, of every candidate.
  public var failure: GateFailure? {
    let failed = candidates.flatMap { candidate in
      candidate.gates.filter { !$0.passed }.map {
        GateFailure.Failed(candidate: candidates.count > 1 ? candidate.name : nil, gate: $0)
      }
    }
    return failed.isEmpty ? nil : GateFailure(failed: failed)
  }

  /// The model that the others are measured against.
  public struct Reference: Sendable {
    /// Last component of the path.
    public var name: String
    public var path: String
    /// What it is stored as: `GGUF`, or a format of checkpoints.
    public var format: String
    public var fileBytes: Int
    public var bitsPerWeight: Double
    /// Of a model in one file, when hashes were asked for.
    public var sha256: String?
  }

  /// What was read.
  public struct TextFacts: Sendable {
    public var path: String
    public var name: String
    public var sha256: String
    public var chunks: Int
    /// Tokens in a chunk.
    public var context: Int
    public var tokensScored: Int
  }

  /// One model beside the reference.
  public struct Candidate: Sendable {
    public var name: String
    public var path: String
    /// As `Q4_K_M`; the commonest type of the weights where the file does not say.
    public var fileType: String
    public var fileBytes: Int
    public var bitsPerWeight: Double
    /// Of a model in one file, when hashes were asked for.
    public var sha256: String?
    public var drift: Drift
    public var layers: [LayerRow]
    public var tensors: [TensorRow]
    /// The tokens of the largest divergence, the largest first.
    public var worst: [WorstToken]
    public var gates: [Gates.Result]
    /// What the file says of how it was made: `general.quantized_by`, `quern.*`, `quantize.imatrix.*`.
    public var provenance: [(key: String, value: String)]
    /// Parameters of the architecture and of the tokenizer in which it is not the reference. No quantizing changes them.
    public var differences: [ParameterDifference]

    /// Whether every gate was passed.
    public var passed: Bool { gates.allSatisfy(\.passed) }

    /// The layer that adds most to the error: where to look first.
    public var largestLayer: LayerRow? {
      layers.first { $0.added.isNaN } ?? layers.max { $0.added < $1.added }
    }

    /// The tensor farthest from the reference's, by its relative RMS error; `nil` when no tensor is in both.
    public var largestTensor: TensorRow? {
      tensors.first { $0.relativeRMSError?.isNaN ?? false }
        ?? tensors.filter { $0.relativeRMSError != nil }.max { $0.relativeRMSError! < $1.relativeRMSError! }
    }
  }

  /// The hidden state after one layer.
  public struct LayerRow: Sendable {
    public var layer: Int
    /// ‖c − r‖ / ‖r‖, c the candidate's states and r the reference's.
    public var relativeRMSError: Double
    public var cosine: Double
    /// The error that this layer alone adds: ‖c(r′) − r(r′)‖ / ‖r(r′)‖, both models' layer applied to the reference's states
    /// r′ before it. Over the first chunks of the text; see `Evaluation.probedChunks`.
    public var added: Double
  }

  public struct TensorRow: Sendable {
    public var name: String
    public var type: DType
    public var bitsPerWeight: Double
    public var elements: Int
    /// ‖w′ − w‖ / ‖w‖; `nil` for a tensor that the reference has not.
    public var relativeRMSError: Double?
    /// Mean KL divergence, in nats, of the reference with this one tensor replaced by the candidate's; `nil` when it was not
    /// asked for.
    public var attributedDivergence: Double?
  }

  /// A token where the two models expected most different things.
  public struct WorstToken: Sendable {
    public var chunk: Int
    /// Of the token that came, in the chunk.
    public var position: Int
    /// The tokens before it, as text; about 20.
    public var before: String
    /// The token that came.
    public var token: String
    public var referenceChoice: String
    public var candidateChoice: String
    /// In nats.
    public var divergence: Double
    /// Of the token that came.
    public var referenceProbability: Double
    public var candidateProbability: Double
  }

  /// A parameter that the candidate states otherwise.
  public struct ParameterDifference: Hashable, Sendable {
    /// Its GGUF key.
    public var key: String
    public var reference: String
    public var candidate: String

    /// Whether what the layers compute depends on it: neither a token's id nor what the model was trained for does.
    public var isComputedWith: Bool {
      key.hasPrefix("llama.") && key != "llama.context_length" && key != "llama.vocab_size"
    }
  }
}

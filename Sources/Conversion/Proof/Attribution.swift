public import Models
public import Tensors

/// What each tensor's quantization does alone.
public struct Attribution {
  private let reference: ModelSource
  private let chunks: TextChunks
  private let jobs: Int
  private let stateBytes: Int
  private let arithmetic: Arithmetic
  private let residentOutput: Int

  /// - Parameters:
  ///   - chunks: the text; cut it short with `first(_:)`, since every tensor is followed through the rest of the model.
  ///   - stateBytes: the budget for hidden states. With less, fewer tensors are followed at once and the weights are read
  ///     more often.
  ///   - residentOutput: up to this many bytes in F32 an output matrix is kept in memory.
  public init(
    reference: ModelSource, chunks: TextChunks, jobs: Int, stateBytes: Int, arithmetic: Arithmetic = .f32,
    residentOutput: Int = 256 << 20
  ) {
    (self.reference, self.chunks, self.jobs, self.stateBytes) = (reference, chunks, jobs, stateBytes)
    (self.arithmetic, self.residentOutput) = (arithmetic, residentOutput)
  }

  /// Whether what `tensor` does alone can be told: weights of a layer, the embedding and the output, not frequencies.
  public static func measures(_ tensor: Tensor) -> Bool { tensor.name != "rope_freqs.weight" }

  /// Mean Kullback-Leibler divergence, in nats a token, of the reference with one tensor replaced from the reference
  /// itself, for each of `replacements`.
  /// - Parameters:
  ///   - replacements: GGUF-named tensors of any type, in any order; several may have one name.
  ///   - together: at most so many are followed at once.
  ///   - measured: is told each divergence, by the number of the replacement, as soon as it is known.
  /// - Throws: `LIMIT` when not one replacement fits; `NAME`, `SHAPE` or `TYPE` for a tensor that replaces none; `NONFINITE`;
  ///   what reading or `measured` throws.
  public func divergences(
    of replacements: [Tensor], together: Int = .max, progress: ProgressHandler? = nil,
    measured: ([(number: Int, divergence: Double)]) throws -> Void = { _ in }
  ) throws -> [Double] {
    let pass = try ForwardPass(reference, jobs: jobs, arithmetic: arithmetic, residentOutput: residentOutput)
    return try Evaluation(chunks, stateBytes: stateBytes) { walked in
      progress?(Progress("replacing one tensor at a time", walked))
    }.divergences(of: replacements, in: pass, together: together, measured: measured)
  }
}

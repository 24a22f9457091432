public import Bytes

/// How the memory of a walk is divided. Hidden states take what the rest leaves; what does not fit at once goes through the
/// layers in groups of chunks. Nothing in it grows with the depth of the models or with the length of the text.
public struct WalkMemory: Hashable, Sendable, CustomStringConvertible {
  /// What was in use before the walk: the text's tokens, vocabularies, the program.
  public let inUse: Int
  /// A layer's weights, every thread's scratch, pieces of the output matrix.
  public let buffers: Int
  /// Tiles of logits.
  public let logits: Int
  /// Output matrices that stay in memory, of all models together.
  public let outputs: Int
  /// What hidden states may take.
  public let states: Int
  /// Chunks that go through the layers together.
  public let groupSize: Int
  public let chunks: Int

  /// Up to this many bytes an output matrix stays in memory; see `ForwardPass`.
  public let residentOutput: Int

  /// What the C library takes for a thread.
  private static let perThread = 36 << 20

  /// For a walk of `models`, the first of which is the reference if there are several.
  /// - Parameter sharesBuffers: whether models that compute alike do so in the same buffers.
  /// - Throws: `LIMIT` when not even one chunk fits in `budget`.
  public init(
    _ models: [LlamaParameters], _ text: TextChunks, jobs: Int, budget: Int, inUse: Int, sharesBuffers: Bool = true
  ) throws(InputError) {
    let probes = models.count > 1 ? Evaluation.probedChunks(text) : 0
    let workers = min(max(1, jobs), max(text.count + probes, 1))
    self.inUse = inUse
    chunks = text.count
    var shared: [LlamaParameters] = []
    // Models that compute alike share their buffers; see `ForwardPass.init`.
    for model in models where !sharesBuffers || shared.isEmpty || !models[0].computesAlike(model) {
      shared.append(model)
    }
    buffers =
      shared.reduce(0) { $0 + ForwardPass.bufferBytes($1, context: text.context, workers: workers, jobs: max(1, jobs)) }
      + max(1, jobs) * WalkMemory.perThread
    let rows = min(ForwardPass.rowsPerTile, text.scored.count)
    logits = models.prefix(2).reduce(0) { $0 + 4 * rows * $1.vocabularySize }
    let left = budget - inUse - buffers - logits
    let least = WalkMemory.stateBytes(models, text, probes: probes, chunks: 1)
    let all = models.reduce(0) { $0 + 4 * $1.vocabularySize * $1.hiddenSize }
    outputs = all <= min((left - least) / 2, models.count * (256 << 20)) ? all : 0
    residentOutput = outputs > 0 ? 256 << 20 : 0
    states = left - outputs
    guard states >= least else {
      throw InputError(
        .limit,
        "a walk of these models needs \(gibibytes(budget - states + least)) GiB for one chunk of \(text.context) tokens "
          + "on \(jobs) threads, --memory gives \(gibibytes(budget))",
        remedy: "give more --memory, fewer --jobs or a shorter --ctx")
    }
    groupSize = WalkMemory.groupSize(models, text, probes: probes, stateBytes: states)
  }

  /// Chunks that go through the layers together when hidden states may take `stateBytes`; at least one.
  static func groupSize(_ models: [LlamaParameters], _ text: TextChunks, probes: Int, stateBytes: Int) -> Int {
    let one = stateBytesOfChunk(models, text)
    let probing = probes > 0 ? one.dropFirst().reduce(0, +) : 0
    let all = one.reduce(0, +)
    let beyond = (stateBytes - probing * probes) / all
    let size = beyond >= probes ? beyond : min(probes, stateBytes / (all + probing))
    return max(1, min(text.count, size))
  }

  private static func stateBytes(_ models: [LlamaParameters], _ text: TextChunks, probes: Int, chunks: Int) -> Int {
    let one = stateBytesOfChunk(models, text)
    return one.reduce(0, +) * chunks + one.dropFirst().reduce(0, +) * min(probes, chunks)
  }

  private static func stateBytesOfChunk(_ models: [LlamaParameters], _ text: TextChunks) -> [Int] {
    models.map { max(1, ForwardPass.stateBytes($0, tokens: text.context)) }
  }

  public var description: String {
    "\(gibibytes(inUse)) GiB in use, \(gibibytes(buffers)) for a layer and its arithmetic, \(gibibytes(logits)) for logits, "
      + (outputs > 0 ? "\(gibibytes(outputs)) for outputs, " : "")
      + "up to \(gibibytes(states)) for hidden states: \(groupSize == chunks ? "all" : "\(groupSize) of") \(chunks) chunks at a "
      + "time"
  }
}

/// With two digits after the point.
private func gibibytes(_ bytes: Int) -> String {
  let hundredths = ((bytes >> 20) * 100 + 512) >> 10
  return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
}

import Bytes

/// Bytes of one file of an output that a task made.
public struct OutputPiece: Hashable, Sendable {
  /// Number of the file.
  public var file: Int
  public var bytes: Range<Int>
  /// In hexadecimal.
  public var sha256: String
}

extension Converter {
  /// Makes a part of the one output and leaves the rest to other processes. Its bytes are those that `run` writes there.
  /// - Parameters:
  ///   - share: of `ConversionPlan.shares`.
  ///   - output: opened to be shared; it is neither published nor given up.
  /// - Returns: what was written, proved to be on the disk, and what was rounded plainly although feedback was asked for.
  /// - Throws: as `run`.
  func run(
    share: Range<Int>, of output: OutputSet, checking input: ModelInput, progress: ProgressHandler?
  ) throws -> (pieces: [OutputPiece], fallbacks: [FeedbackFallback]) {
    let plan = plans[0]
    let sink = OrderedOutput(output, plan.layouts)
    try sink.begin(at: share.lowerBound)
    var fallbacks: [FeedbackFallback] = []
    if let feedback = rounding.feedback {
      fallbacks = try grind(input.model, with: feedback, into: sink, within: share, progress: progress)
    } else {
      try write(0..<plan.entries.count, within: [share], into: [sink]) { whole in
        progress?(
          Progress(whole.activity, unit: whole.unit, done: whole.done - share.lowerBound, total: share.count))
      }
    }
    let digests = try sink.finish(at: share.upperBound)
    try input.checkUnchanged()
    let pieces = zip(plan.pieces(of: share), digests).map {
      OutputPiece(file: $0.file, bytes: $0.bytes, sha256: hexadecimalText($1))
    }
    return (pieces, fallbacks)
  }
}

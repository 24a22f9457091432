import Models

/// Keeps the hidden states of a conversion that walks a text, so that after a kill the text need not pass through the
/// finished blocks again: that is two forward passes of each, where rounding it with all that belongs to it takes about five.
///
/// Of T tokens and states of width n they take 4 · T · n bytes, half as much again where targets move: 3.2 GB for 131,072 tokens
/// of an 8 B model, whose blocks take minutes to hours.
public final class FeedbackCheckpoints {
  private let state: RunState
  private let interval: Duration
  private var last = ContinuousClock.now

  /// - Parameters:
  ///   - output: of the run; the file is `output.states.resume`.
  ///   - identity: of the run.
  ///   - interval: at least so much time passes between two savings.
  ///   - resumes: whether to go on with what is there; else it is removed.
  /// - Throws: as `RunState`.
  public init(beside output: String, identity: RunIdentity, interval: Duration, resumes: Bool) throws {
    state = try RunState(beside: output + ".states", identity: identity, resumes: resumes)
    self.interval = interval
  }

  /// Saves the states before block `layer` when it is time to.
  func reached(layer: Int, _ states: [HiddenStates]) throws {
    guard ContinuousClock.now - last >= interval else { return }
    try state.replace(
      with: [RunState.part("layer") { [Int64(layer)] }]
        + states.enumerated().flatMap { RunState.parts("states \($0)", $1) })
    last = .now
  }

  /// Puts what an earlier run saved into `states`.
  /// - Returns: the block that comes next, the first where nothing was saved.
  func restore(_ states: [HiddenStates]) throws -> Int {
    guard !state.records.isEmpty else { return 0 }
    let layer: [Int64] = try state.numbers("layer", count: 1)
    for (number, states) in states.enumerated() { try state.restore("states \(number)", states) }
    return Int(layer[0])
  }

  func remove() throws { try state.remove() }
}

import Bytes
import Models
import Tensors

/// Keeps a calibration in a file, so that it goes on after a kill where a layer had ended.
///
/// In the file are the sums of all blocks and the hidden states of the chunks that are on their way.
final class ImportanceCheckpoints {
  private let state: RunState
  private let interval: Duration
  private var last = ContinuousClock.now

  /// Where a run stands: the chunks from `start` on have passed the blocks before `layer`.
  struct Position: Equatable {
    var start = 0
    var layer = 0
  }

  /// - Parameter interval: at least so much time passes between two savings.
  init(_ state: RunState, interval: Duration) { (self.state, self.interval) = (state, interval) }

  /// Saves when it is time to.
  func layerEnded(_ position: Position, _ blocks: [BlockSums], _ output: ColumnSums, _ states: HiddenStates) throws {
    guard ContinuousClock.now - last >= interval else { return }
    var parts = [
      RunState.part("position") { [Int64(position.start), Int64(position.layer)] },
      RunState.part("output") { output.savedNumbers },
    ]
    for (layer, sums) in blocks.enumerated() { parts.append(RunState.part("block \(layer)") { sums.savedNumbers }) }
    parts += RunState.parts("chunk", states)
    try state.replace(with: parts)
    last = .now
  }

  /// Where an earlier run ended; its sums are put into `blocks` and `output`. `nil` when there was none.
  func restore(_ blocks: [BlockSums], _ output: ColumnSums) throws -> Position? {
    guard !state.records.isEmpty else { return nil }
    let place: [Int64] = try state.numbers("position", count: 2)
    try output.restore(state.numbers("output", count: output.savedCount))
    for (layer, sums) in blocks.enumerated() {
      try sums.restore(state.numbers("block \(layer)", count: sums.savedCount))
    }
    guard place[0] >= 0, (0...Int64(blocks.count)).contains(place[1]) else {
      throw InputError(
        .checksum, "it is damaged", file: state.path, remedy: "start again with --no-resume")
    }
    return Position(start: Int(place[0]), layer: Int(place[1]))
  }

  /// The hidden states that the earlier run had.
  func restore(_ states: HiddenStates) throws { try state.restore("chunk", states) }
}

extension BlockSums {
  fileprivate var savedNumbers: [Double] { ordered.flatMap(\.savedNumbers) }

  fileprivate var savedCount: Int { ordered.reduce(0) { $0 + $1.savedCount } }

  fileprivate func restore(_ numbers: [Double]) {
    var rest = numbers[...]
    for sums in ordered {
      sums.restore(Array(rest.prefix(sums.savedCount)))
      rest = rest.dropFirst(sums.savedCount)
    }
  }
}

import Bytes
import Models

/// Keeps a verification in a file, so that it goes on after a kill where a layer had ended: the hidden states of the chunks that
/// are on their way, and every token that was scored before them.
final class DriftCheckpoints: DriftKeeper {
  private let state: RunState
  private let interval: Duration
  private let text: TextChunks
  /// Of the reference.
  private let depth: Int
  /// Models beside the reference.
  private let count: Int
  private var last = ContinuousClock.now
  /// Why nothing is kept any more. It is no reason to end a walk that only reads.
  private(set) var failure: SystemError?

  /// - Parameter interval: at least so much time passes between two savings, unless the process is asked to end.
  init(_ state: RunState, interval: Duration, text: TextChunks, depth: Int, count: Int) {
    (self.state, self.interval, self.text, self.depth, self.count) = (state, interval, text, depth, count)
  }

  func layerEnded(_ progress: () -> DriftProgress, _ states: [HiddenStates]) throws {
    guard failure == nil, ContinuousClock.now - last >= interval || Interruption.isPending else { return }
    let progress = progress()
    let added = progress.models.first?.group.first?.added.count ?? 0
    var parts = [
      RunState.part("position") {
        [progress.group.lowerBound, progress.group.upperBound, progress.layer, added].map(Int64.init)
      }
    ]
    for (number, model) in progress.models.enumerated() {
      parts += [
        RunState.part("tokens \(number)") { model.tokens }, RunState.part("layers \(number)") { model.layers },
        RunState.part("state \(number)") { model.group.flatMap(\.state) },
        RunState.part("added \(number)") { model.group.flatMap(\.added) },
      ]
    }
    parts += states.enumerated().flatMap { RunState.parts("states \($0)", $1) }
    do { try state.replace(with: parts) } catch let error as SystemError { failure = error }
    last = .now
  }

  func progress() throws -> DriftProgress? {
    guard !state.records.isEmpty else { return nil }
    let place: [Int64] = try state.numbers("position", count: 4)
    let (start, end, layer, added) = (Int(place[0]), Int(place[1]), Int(place[2]), Int(place[3]))
    guard 0 <= start, start < end, end <= text.count, (1...depth).contains(layer), (0...end - start).contains(added)
    else {
      throw InputError(.checksum, "it is damaged", file: state.path, remedy: "start again with --no-resume")
    }
    return DriftProgress(
      group: start..<end, layer: layer,
      models: try (0..<count).map { number in
        let states: [StateDifference] = try state.numbers("state \(number)", count: (end - start) * layer)
        let others: [StateDifference] = try state.numbers("added \(number)", count: added * layer)
        return DriftProgress.Model(
          tokens: try state.numbers("tokens \(number)", count: start * text.scored.count),
          layers: try state.numbers("layers \(number)", count: depth),
          group: (0..<layer).map { layer in
            (
              Array(states[layer * (end - start)..<(layer + 1) * (end - start)]),
              Array(others[layer * added..<(layer + 1) * added])
            )
          })
      })
  }

  func restore(_ states: [HiddenStates]) throws {
    for (number, states) in states.enumerated() { try state.restore("states \(number)", states) }
  }
}

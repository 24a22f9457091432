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
    var parts: [(name: String, bytes: () throws -> [UInt8])] = [
      ("position", { rawBytes([Int64(position.start), Int64(position.layer)]) }), ("output", { output.saved }),
    ]
    for (layer, sums) in blocks.enumerated() { parts.append(("block \(layer)", { sums.saved })) }
    for (chunk, rows) in states.chunks.enumerated() {
      parts.append(("chunk \(chunk)", { rawBytes(states.matrix[rows].values) }))
    }
    try state.replace(with: parts)
    last = .now
  }

  /// Where an earlier run ended; its sums are put into `blocks` and `output`. `nil` when there was none.
  func restore(_ blocks: [BlockSums], _ output: ColumnSums) throws -> Position? {
    guard !state.records.isEmpty else { return nil }
    let place: [Int64] = try numbers("position", count: 2)
    try output.restore(numbers("output", count: output.savedCount))
    for (layer, sums) in blocks.enumerated() {
      try sums.restore(numbers("block \(layer)", count: sums.savedCount))
    }
    guard place[0] >= 0, (0...Int64(blocks.count)).contains(place[1]) else {
      throw InputError(
        .checksum, "it is damaged", file: state.path, remedy: "start again with --no-resume")
    }
    return Position(start: Int(place[0]), layer: Int(place[1]))
  }

  /// The hidden states that the earlier run had.
  func restore(_ states: HiddenStates) throws {
    for (chunk, rows) in states.chunks.enumerated() {
      let view = states.matrix[rows]
      let values: [Float] = try numbers("chunk \(chunk)", count: view.rows * view.columns)
      unsafe values.withUnsafeBufferPointer {
        if let base = $0.baseAddress { unsafe view.pointer.update(from: base, count: $0.count) }
      }
    }
  }

  private func numbers<Number: BitwiseCopyable>(_ name: String, count: Int) throws -> [Number] {
    guard let record = state.first(name), case let bytes = try state.read(record),
      bytes.count == count * MemoryLayout<Number>.stride
    else {
      throw InputError(
        .checksum, "the part \(name) is missing or of another size", file: state.path,
        remedy: "start again with --no-resume")
    }
    return unsafe [Number](unsafeUninitializedCapacity: count) { buffer, initialized in
      unsafe UnsafeMutableRawBufferPointer(buffer).copyBytes(from: bytes)
      initialized = count
    }
  }
}

/// As they are in memory: the file is for the machine that wrote it.
private func rawBytes<Number: BitwiseCopyable>(_ numbers: [Number]) -> [UInt8] {
  unsafe numbers.withUnsafeBytes { unsafe Array($0) }
}

extension ColumnSums {
  fileprivate var saved: [UInt8] { rawBytes(savedNumbers) }
}

extension BlockSums {
  fileprivate var saved: [UInt8] { rawBytes(ordered.flatMap(\.savedNumbers)) }

  fileprivate var savedCount: Int { ordered.reduce(0) { $0 + $1.savedCount } }

  fileprivate func restore(_ numbers: [Double]) {
    var rest = numbers[...]
    for sums in ordered {
      sums.restore(Array(rest.prefix(sums.savedCount)))
      rest = rest.dropFirst(sums.savedCount)
    }
  }
}

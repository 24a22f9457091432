import Bytes
import Crypto
import GGUF
import Synchronization
import Tensors

/// Reads the files of a model from end to end, once: hashes each of them and looks for blocks that mean no finite numbers.
///
/// Workers read and look, pieces of 4 MiB in flight; whoever is next in line hashes, so memory does not grow with the file.
struct ByteScan: Sendable {
  private let files: [RandomAccessFile]
  private let tensors: [Tensor]
  private let pieces: [Piece]

  /// Consecutive bytes of a file, of one tensor or of none.
  private struct Piece: Sendable {
    var file: Int
    var range: Range<Int>
    var tensor: Int?
    /// The first block of the tensor in it.
    var block = 0
  }

  struct Result: Sendable {
    /// SHA-256 of every file, in hexadecimal.
    var digests: [String] = []
    /// Of every tensor with one, the first block that is not finite.
    var broken: [(tensor: Tensor, block: Int)] = []
  }

  private static let pieceBytes = 1 << 22

  init(_ model: GGUFModel) {
    files = model.files.map(\.file)
    tensors = model.tensors
    var pieces: [Piece] = []
    for (number, file) in files.enumerated() {
      var end = 0
      let inside = model.places.indices.filter { model.places[$0].file == number }
        .sorted { (model.places[$0].offset, $0) < (model.places[$1].offset, $1) }
      for index in inside {
        let (start, tensor) = (model.places[index].offset, model.tensors[index])
        pieces += ByteScan.cut(number, end..<start)
        let step = max(1, ByteScan.pieceBytes / tensor.dtype.blockBytes)
        let blocks = tensor.byteCount / tensor.dtype.blockBytes
        for first in stride(from: 0, to: blocks, by: step) {
          let range =
            first * tensor.dtype.blockBytes..<min(blocks, first + step) * tensor.dtype.blockBytes
          pieces.append(
            Piece(
              file: number, range: start + range.lowerBound..<start + range.upperBound, tensor: index, block: first))
        }
        end = start + tensor.byteCount
      }
      pieces += ByteScan.cut(number, end..<file.size)
    }
    self.pieces = pieces
  }

  /// Of a file of which nothing is known.
  init(_ file: RandomAccessFile) {
    (files, tensors, pieces) = ([file], [], ByteScan.cut(0, 0..<file.size))
  }

  private static func cut(_ file: Int, _ range: Range<Int>) -> [Piece] {
    stride(from: range.lowerBound, to: range.upperBound, by: pieceBytes).map {
      Piece(file: file, range: $0..<min(range.upperBound, $0 + pieceBytes))
    }
  }

  private struct State {
    var file = 0
    var hash = SHA256()
    var done = 0
    var result = Result()

    mutating func finish(until file: Int) {
      while self.file < file {
        result.digests.append(hexadecimalText(hash.finalize()))
        (self.file, hash) = (self.file + 1, SHA256())
      }
    }
  }

  /// - Throws: errors of reading; `CHANGED`; `Interrupted`.
  func run(jobs: Int, progress: ProgressHandler?) throws -> Result {
    let state = Mutex(State())
    let total = files.reduce(0) { $0 + $1.size }
    try OrderedPipeline(jobs: jobs, window: 2 * jobs).run(
      count: pieces.count, makeScratch: {},
      produce: { index, _ -> (bytes: [UInt8], broken: Int?) in
        let piece = pieces[index]
        let bytes = try files[piece.file].read(at: piece.range.lowerBound, count: piece.range.count)
        let broken = piece.tensor.flatMap {
          unsafe BlockDecoder.firstNonFiniteBlock(bytes.span.bytes, as: tensors[$0].dtype)
        }
        return (bytes, broken)
      },
      deliver: { index, made in
        let piece = pieces[index]
        let done = state.withLock { state in
          state.finish(until: piece.file)
          unsafe made.bytes.withUnsafeBytes { unsafe state.hash.update(bufferPointer: $0) }
          state.done += made.bytes.count
          if let broken = made.broken, let tensor = piece.tensor.map({ tensors[$0] }),
            state.result.broken.last?.tensor.name != tensor.name
          {
            state.result.broken.append((tensor, piece.block + broken))
          }
          return state.done
        }
        progress?(Progress("checking", unit: .bytes, done: done, total: total))
      })
    for file in files { try file.checkUnchanged() }
    progress?(Progress("checking", unit: .bytes, done: total, total: total))
    return state.withLock { state in
      state.finish(until: files.count)
      return state.result
    }
  }
}

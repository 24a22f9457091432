import Bytes
import Tensors

extension ConversionPlan {
  /// How many pieces may be made and not yet written, so that a conversion on `jobs` threads stays within `memory` bytes.
  ///
  /// A thread holds a piece as it is stored, its weights in F32 and the blocks made of them; every piece that waits to be
  /// written, its blocks. A piece is at least a row, however long that is.
  /// - Throws: `LIMIT` when it cannot.
  func window(jobs: Int, memory: Int) throws(InputError) -> Int {
    var (worker, made, widest) = (0, 0, "")
    for entry in entries {
      let columns = max(1, entry.source.columns)
      let rows = min(max(1, ConversionPlan.weightsInPiece / columns), max(1, entry.source.rows))
      let (stored, out) = (entry.source.byteCount, entry.byteCount)
      let part = { (bytes: Int) in bytes / max(1, entry.source.rows) * rows }
      let needed = part(stored) + rows * columns * MemoryLayout<Float>.size + part(out)
      if needed > worker { (worker, widest) = (needed, entry.source.name) }
      made = max(made, part(out))
    }
    let fixed = header.count + jobs * worker
    guard fixed + jobs * made <= memory else {
      throw InputError(
        .limit, "\(fixed + jobs * made) bytes of memory are needed on \(jobs) threads, --memory is \(memory)",
        subject: widest, remedy: "give more memory or fewer --jobs")
    }
    return min(16 * jobs, (memory - fixed) / max(1, made))
  }

  /// Bytes of the blocks that error feedback rounds: what is kept beside the output until that is whole.
  public var feedbackBytes: Int {
    entries.reduce(0) { $0 + ($1.source.layer != nil && quantizedTypes[$1.source.name] != nil ? $1.byteCount : 0) }
  }
}

import Bytes
import Tensors

extension [ConversionPlan] {
  /// How many pieces may be made and not yet written, so that conversions from one reading on `jobs` threads stay within
  /// `memory` bytes.
  ///
  /// A thread holds a piece as it is stored, its weights in F32 and the blocks made of them for every plan; every piece that
  /// waits to be written, its blocks. A piece is at least a row, however long that is.
  /// - Throws: `LIMIT` when it cannot.
  func window(jobs: Int, memory: Int) throws(InputError) -> Int {
    var (worker, made, widest) = (0, 0, "")
    for (index, entry) in (first?.entries ?? []).enumerated() {
      let columns = Swift.max(1, entry.source.columns)
      let rows = Swift.min(
        Swift.max(1, ConversionPlan.weightsInPiece / columns), Swift.max(1, entry.source.rows))
      let part = { (bytes: Int) in bytes / Swift.max(1, entry.source.rows) * rows }
      let out = reduce(0) { $0 + part($1.entries[index].byteCount) }
      let needed = part(entry.source.byteCount) + rows * columns * MemoryLayout<Float>.size + out
      if needed > worker { (worker, widest) = (needed, entry.source.name) }
      made = Swift.max(made, out)
    }
    let fixed = reduce(0) { $0 + $1.headerBytes } + jobs * worker
    guard fixed + jobs * made <= memory else {
      throw InputError(
        .limit, "\(fixed + jobs * made) bytes of memory are needed on \(jobs) threads, --memory is \(memory)",
        subject: widest, remedy: "give more memory or fewer --jobs" + (count > 1 ? ", or fewer types at once" : ""))
    }
    return Swift.min(16 * jobs, (memory - fixed) / Swift.max(1, made))
  }
}

extension ConversionPlan {
  fileprivate var headerBytes: Int { layouts.reduce(0) { $0 + $1.header.count } }

  /// Bytes of the blocks that error feedback rounds: what is kept beside the output until that is whole.
  public var feedbackBytes: Int {
    entries.reduce(0) { $0 + ($1.source.layer != nil && quantizedTypes[$1.source.name] != nil ? $1.byteCount : 0) }
  }
}

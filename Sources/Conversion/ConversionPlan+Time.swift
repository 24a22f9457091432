import Quantization
import Tensors

extension ConversionPlan {
  /// About how many seconds of `jobs` threads a weight of an entry takes, from being read to being written: what other
  /// entries are compared with, not a promise.
  ///
  /// Reading, decoding and quantizing go on at once on all threads; what is made is hashed and written by one at a time.
  func secondsPerWeight(of entry: Entry, _ rounding: Converter.Rounding, jobs: Int) -> Double {
    let hasImportance = rounding.importance?.contains(entry.source.name) ?? false
    let weights = Double(max(1, entry.source.shape.elementCount))
    let (stored, made) = (Double(entry.source.byteCount) / weights, Double(entry.byteCount) / weights)
    let search =
      entry.source.dtype == entry.type
      ? 0
      : QuantizingTime.nanoseconds(
        aWeightOf: entry.type, hasImportance: hasImportance, isThorough: rounding.search == .thorough)
    let parallel = stored * ConversionTime.reading + ConversionTime.decoding + search
    let serial = made * ConversionTime.writing
    return max(serial, (serial + parallel) / Double(max(1, jobs))) * 1e-9
  }
}

/// Nanoseconds on one thread, of a machine such as those of `docs/performance.md`.
private enum ConversionTime {
  /// A byte that the system has in its memory.
  static let reading = 0.1
  /// A weight, with the search for what is no number.
  static let decoding = 0.2
  /// A byte, with its hashes and with reading it back.
  static let writing = 1.35
}

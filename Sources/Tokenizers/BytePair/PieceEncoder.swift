import Bytes

/// Encodes the pieces of one text, remembering those it has met: in a long text most come again.
///
/// The memory is direct-mapped and holds no bytes or ids of its own: where the piece stood in the text and where its ids
/// stand in the output.
struct PieceEncoder {
  private struct Entry {
    var hash: UInt64 = 0
    var textStart: UInt32 = 0
    var length: UInt32 = 0
    var outStart: UInt32 = 0
    var outCount: UInt32 = 0
  }

  private var entries: [Entry] = []
  private let mask: Int
  private var scratch = MergeScratch()

  /// - Parameter textBytes: length of the text, by which the memory is sized; beyond 4 GiB there is none.
  init(textBytes: Int) {
    let wanted = textBytes < 1 << 32 ? min(max(textBytes / 8, 16), 1 << 15) : 1
    let size = 1 << (Int.bitWidth - 1 - wanted.leadingZeroBitCount)
    mask = size - 1
    entries = [Entry](repeating: Entry(), count: size)
  }

  /// Appends the ids of the piece `text[start..<end]`. Always the same `text` and `out`, which only grows.
  @inline(__always)
  mutating func encode(
    _ text: Span<UInt8>, _ start: Int, _ end: Int, _ vocabulary: borrowing Vocabulary, _ model: borrowing BytePairModel,
    into out: inout [Int32]
  ) {
    if end - start == 1 {
      let id = model.byteTokens[Int(text[start])]
      if id >= 0 {
        out.append(id)
        return
      }
    }
    let key = vocabulary.key(text, start, end)
    if model.ignoresMerges {
      let id = vocabulary.id(of: text, start, end, key: key)
      if id >= 0 {
        out.append(id)
        return
      }
    }
    if recall(text, start, end, key.hash, into: &out) { return }
    let outStart = out.count
    model.merge(text, start, end, &scratch, into: &out)
    remember(start, end, key.hash, outStart, out.count)
  }

  /// The same for a word of a SentencePiece vocabulary.
  @inline(__always)
  mutating func encode(
    _ text: Span<UInt8>, _ start: Int, _ end: Int, _ model: borrowing CharacterPairModel, into out: inout [Int32]
  ) {
    let hash = model.vocabulary.key(text, start, end).hash
    if recall(text, start, end, hash, into: &out) { return }
    let outStart = out.count
    model.merge(text, start, end, &scratch, into: &out)
    remember(start, end, hash, outStart, out.count)
  }

  @inline(__always)
  private func recall(
    _ text: Span<UInt8>, _ start: Int, _ end: Int, _ hash: UInt64, into out: inout [Int32]
  ) -> Bool {
    let entry = entries[Int(truncatingIfNeeded: hash >> 8) & mask]
    guard entry.hash == hash, Int(entry.length) == end - start,
      ByteWords.equal(text, Int(entry.textStart), text, start, end - start)
    else { return false }
    for index in Int(entry.outStart)..<Int(entry.outStart + entry.outCount) { out.append(out[index]) }
    return true
  }

  @inline(__always)
  private mutating func remember(_ start: Int, _ end: Int, _ hash: UInt64, _ outStart: Int, _ outEnd: Int) {
    guard mask > 0 else { return }
    entries[Int(truncatingIfNeeded: hash >> 8) & mask] = Entry(
      hash: hash, textStart: UInt32(truncatingIfNeeded: start), length: UInt32(truncatingIfNeeded: end - start),
      outStart: UInt32(truncatingIfNeeded: outStart), outCount: UInt32(truncatingIfNeeded: outEnd - outStart))
  }
}

/// A unigram model (Kudo 2018): of all ways to cut a text into pieces, the one whose scores add up to the most.
///
/// Viterbi over byte positions in `Float`, in the order of sentencepiece 0.2.3 (`unigram::Model::EncodeOptimized`), so that
/// ties and rounding fall as they do there.
struct UnigramModel: Sendable {
  private let trie: ByteTrie
  private let scores: [Float]
  private let isUserDefined: [Bool]
  private let unknown: Int32
  private let unknownScore: Float
  private let byteTokens: [Int32]

  init(_ file: SentencePieceFile, byteTokens: [Int32], unknown: Int32) {
    var trie = ByteTrie(capacity: file.pieces.count * 4)
    var lowest = Float.greatestFiniteMagnitude
    for (id, piece) in file.pieces.enumerated() {
      if piece.type == .normal { lowest = min(lowest, piece.score) }
      if piece.type == .normal || piece.type == .userDefined {
        trie.insert(file.bytes[piece.text], Int32(id))
      }
    }
    self.trie = trie
    scores = file.pieces.map(\.score)
    isUserDefined = file.pieces.map { $0.type == .userDefined }
    self.unknown = unknown
    self.byteTokens = byteTokens
    unknownScore = lowest - 10
  }

  private struct Best {
    var id: Int32 = -1
    var start: Int32 = -1
    var score: Float = 0
  }

  /// Appends the tokens of the whole of `text`.
  func encode(_ text: [UInt8], into out: inout [Int32]) {
    let best = search(text.span)
    var path: [(start: Int, end: Int, id: Int32)] = []
    var end = text.count
    while end > 0 {
      path.append((Int(best[end].start), end, best[end].id))
      end = Int(best[end].start)
    }
    var afterUnknown = false
    for step in path.reversed() {
      guard step.id == unknown || step.id < 0 else {
        out.append(step.id)
        afterUnknown = false
        continue
      }
      let tokens = text[step.start..<step.end].map { byteTokens[Int($0)] }
      if tokens.allSatisfy({ $0 >= 0 }) {
        out.append(contentsOf: tokens)
        afterUnknown = false
      } else {
        if !afterUnknown { out.append(unknown) }
        afterUnknown = true
      }
    }
  }

  private func search(_ text: Span<UInt8>) -> [Best] {
    var best = [Best](repeating: Best(), count: text.count + 1)
    var frontier = 0
    var start = 0
    func offer(_ end: Int, _ id: Int32, _ score: Float) {
      frontier = max(frontier, end)
      if best[end].start < 0 || score > best[end].score {
        best[end] = Best(id: id, start: Int32(truncatingIfNeeded: start), score: score)
      }
    }
    while start < text.count {
      var here = best[start].score
      if here < -100_000 || here > 100_000 {  // keeps the sums of a long text precise
        for index in start...max(frontier, start) where index == start || best[index].start >= 0 {
          best[index].score -= here
        }
        here = 0
      }
      let length = CharacterClass.scalar(text, start).length
      var coversCharacter = false
      var node = ByteTrie.root
      var index = start
      while index < text.count {
        node = trie.child(of: node, text[index])
        if node < 0 { break }
        index += 1
        let id = trie.value(of: node)
        if id < 0 { continue }
        let score =
          isUserDefined[Int(id)] ? Float(0.1 * Double(index - start - 1)) : scores[Int(id)]
        offer(index, id, score + here)
        if index - start == length { coversCharacter = true }
      }
      if !coversCharacter { offer(start + length, unknown, unknownScore + here) }
      start += length
    }
    return best
  }
}

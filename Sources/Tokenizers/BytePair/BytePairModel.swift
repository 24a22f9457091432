/// Byte-pair encoding over bytes, as in GPT-2 and Llama 3: each byte of a piece is a symbol.
struct BytePairModel: Sendable {
  var merges: MergeTable
  /// The token of each byte, or -1.
  var byteTokens: [Int32]
  /// A piece that is a token as a whole is that token, however its parts would merge.
  var ignoresMerges: Bool
  /// What stands for a byte that has no token; -1: nothing does.
  var unknown: Int32 = -1
  /// Neighbouring unknown bytes are one unknown token.
  var fusesUnknown = false

  /// Appends the tokens of `text[start..<end]`.
  func merge(_ text: Span<UInt8>, _ start: Int, _ end: Int, _ scratch: inout MergeScratch, into out: inout [Int32]) {
    scratch.symbols.removeAll(keepingCapacity: true)
    var lastIsUnknown = false
    for index in start..<end {
      let id = byteTokens[Int(text[index])]
      if id >= 0 {
        scratch.symbols.append(id)
      } else if unknown >= 0 && !(fusesUnknown && lastIsUnknown) {
        scratch.symbols.append(unknown)
      }
      lastIsUnknown = id < 0
    }
    scratch.merge(merges)
    out.append(contentsOf: scratch.symbols)
  }
}

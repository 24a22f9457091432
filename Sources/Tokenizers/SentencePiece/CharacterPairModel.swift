/// Byte-pair encoding over characters, as in Llama 1 and 2: each character of a text is a symbol, one without a token is
/// written as its bytes.
///
/// Serves SentencePiece models, where any two symbols merge whose texts together are a piece, the one of greatest score
/// first, and Hugging Face's form of them, which lists the merges.
struct CharacterPairModel: Sendable {
  /// Texts to ids; never sealed.
  var vocabulary: Vocabulary
  /// Tokens that no text becomes by merging, though their text stands there: control, unknown, byte.
  var reserved: [Bool]
  var merges: MergeTable
  /// The token of each byte (`<0xE2>`), or -1.
  var byteTokens: [Int32]
  /// What stands for a character without token and bytes; -1: nothing does.
  var unknown: Int32
  var fusesUnknown: Bool
  /// A space, once merged, only ever stands at the beginning of a token: so nothing merges across the place before it.
  var spaceBeginsTokens: Bool
  /// Nothing merges across the place before any space, not even another space.
  var splitsEverySpace = false

  /// A character without a token: this and its code point.
  private static let unknownCharacter: Int32 = 1 << 30
  /// A byte that is no UTF-8: this and the byte.
  private static let invalidByte: Int32 = 3 << 29

  func symbol(_ text: Span<UInt8>, _ start: Int) -> (symbol: Int32, length: Int) {
    let (value, length) = CharacterClass.scalar(text, start)
    if length == 1 && value >= 0x80 { return (CharacterPairModel.invalidByte | Int32(value), 1) }
    let id = vocabulary.id(of: text, start, start + length)
    if id >= 0 && !reserved[Int(id)] { return (id, length) }
    return (CharacterPairModel.unknownCharacter | Int32(value), length)
  }

  /// Appends the tokens of `text[start..<end]`.
  func merge(_ text: Span<UInt8>, _ start: Int, _ end: Int, _ scratch: inout MergeScratch, into out: inout [Int32]) {
    scratch.symbols.removeAll(keepingCapacity: true)
    var index = start
    while index < end {
      let (symbol, length) = symbol(text, index)
      scratch.symbols.append(symbol)
      index += length
    }
    scratch.merge(merges)
    var afterUnknown = false
    for symbol in scratch.symbols {
      if symbol < CharacterPairModel.unknownCharacter {
        out.append(symbol)
        afterUnknown = false
      } else {
        appendUnknown(symbol, &afterUnknown, into: &out)
      }
    }
  }

  private func appendUnknown(_ symbol: Int32, _ afterUnknown: inout Bool, into out: inout [Int32]) {
    var bytes: [UInt8] = []
    if symbol >= CharacterPairModel.invalidByte {
      bytes = [UInt8(truncatingIfNeeded: symbol)]
    } else if let scalar = Unicode.Scalar(UInt32(symbol & (CharacterPairModel.unknownCharacter - 1))) {
      bytes = Array(String(scalar).utf8)
    }
    let tokens = bytes.map { byteTokens[Int($0)] }
    if tokens.allSatisfy({ $0 >= 0 }) {
      out.append(contentsOf: tokens)
      afterUnknown = false
    } else {
      if unknown >= 0 && !(fusesUnknown && afterUnknown) { out.append(unknown) }
      afterUnknown = true
    }
  }

  /// Where the word that begins at `start` ends: before the next space, which U+2581 stands for.
  func wordEnd(_ text: Span<UInt8>, _ start: Int, _ end: Int) -> Int {
    guard spaceBeginsTokens || splitsEverySpace else { return end }
    func isMark(_ index: Int) -> Bool {
      index + 3 <= end && text[index] == 0xE2 && text[index + 1] == 0x96 && text[index + 2] == 0x81
    }
    var index = start
    if isMark(index) { index += 3 }
    while !splitsEverySpace && isMark(index) { index += 3 }
    while index < end && !isMark(index) { index += 1 }
    return index
  }

  /// Whether U+2581 stands in a text anywhere but in a row at its beginning.
  static func holdsInnerSpace(_ text: ArraySlice<UInt8>) -> Bool {
    var rest = text
    while rest.starts(with: SpaceRules.mark) { rest = rest.dropFirst(3) }
    guard rest.count >= 3 else { return false }
    return (rest.startIndex...rest.endIndex - 3).contains { rest[$0..<$0 + 3].elementsEqual(SpaceRules.mark) }
  }
}

import Bytes

/// The tokens of a model by id, in one arena of bytes, and the way back to the id.
///
/// Filled with texts as a file writes them, among which merges and added tokens are looked up; then `seal()` turns them
/// into the bytes they stand for, among which pieces of text are. Bytes, never `String`: Swift's strings compare by
/// canonical equivalence, which merges tokens that a vocabulary keeps apart. The table is open-addressed; a slot holds a
/// short text itself and of a longer one the hash, so that finding a token is mostly one access to memory.
struct Vocabulary: Sendable {
  /// How a token's text is stored.
  enum Form: UInt8, Sendable {
    /// No token has this id.
    case absent
    /// Text of the byte alphabet; after `seal()` the bytes it stands for.
    case bytes
    /// Its own text, which no merging reaches: characters outside the alphabet, added tokens.
    case verbatim
  }

  private struct Place: Sendable {
    var start: UInt32 = 0
    var length: UInt32 = 0
  }

  private(set) var arena: [UInt8] = []
  /// Where in the arena each token lies, by id.
  private var places: [Place] = []
  private(set) var forms: [Form] = []
  private var slots: [TokenSlot] = []
  private let seed = ByteHash.currentSeed

  /// One more than the greatest id.
  var count: Int { forms.count }
  /// Tokens that there are.
  private(set) var population = 0

  init(capacity: Int, bytes: Int) {
    arena.reserveCapacity(bytes)
    places.reserveCapacity(capacity)
    forms.reserveCapacity(capacity)
    slots = [TokenSlot](largePages: TokenSlot(), count: Vocabulary.tableSize(capacity))
  }

  private static func tableSize(_ count: Int) -> Int {
    let wanted = max(count * 2, 16)
    return 1 << (Int.bitWidth - (wanted - 1).leadingZeroBitCount)
  }

  /// Adds the token whose text stands in the arena from `start` on.
  /// - Parameter id: below `Limits.tokens`, checked by the caller.
  /// - Returns: `false` when the id or the text is taken already.
  mutating func insert(id: Int, form: Form, start: Int) -> Bool {
    if (population + 1) * 2 > slots.count { grow() }
    guard place(id: id, form: form, start: start) else { return false }
    let key = TokenKey(arena.span, start, arena.count, seed: seed)
    return enter(id, key, slots[home(key)])
  }

  /// The same, but the token is not found before `index()`.
  /// - Returns: `false` when the id is taken already.
  mutating func place(id: Int, form: Form, start: Int) -> Bool {
    if id >= forms.count {
      let more = id + 1 - forms.count
      places.append(contentsOf: repeatElement(Place(), count: more))
      forms.append(contentsOf: repeatElement(.absent, count: more))
    }
    guard forms[id] == .absent else { return false }
    places[id] = Place(start: UInt32(start), length: UInt32(arena.count - start))
    forms[id] = form
    population += 1
    return true
  }

  /// Lets `body` append a text to the arena and says where it begins.
  mutating func append<E: Error>(_ body: (inout [UInt8]) throws(E) -> Void) throws(E) -> Int {
    let start = arena.count
    try body(&arena)
    return start
  }

  /// From texts to bytes. Texts with a character outside the byte alphabet become `verbatim`.
  mutating func seal() {
    let texts = arena
    arena.removeAll(keepingCapacity: true)
    for id in 0..<forms.count where forms[id] != .absent {
      let start = arena.count
      arena.append(contentsOf: texts[Int(places[id].start)..<Int(places[id].start + places[id].length)])
      if forms[id] == .bytes && !ByteAlphabet.decode(&arena, from: start) { forms[id] = .verbatim }
      places[id] = Place(start: UInt32(start), length: UInt32(arena.count - start))
    }
    // Different texts stand for different bytes, so this cannot fail.
    _ = index(verbatim: false)
  }

  // MARK: Table

  /// Tokens that are entered or looked up together: their slots are all read before any is used, so that the waits for
  /// memory overlap.
  static let block = 128

  /// Enters all tokens anew.
  /// - Parameter verbatim: whether those that no merging reaches, too.
  /// - Returns: a token that has the text of another.
  mutating func index(verbatim: Bool = true) -> Int? {
    if population * 2 > slots.count {
      slots = [TokenSlot](largePages: TokenSlot(), count: Vocabulary.tableSize(population))
    } else {
      for slot in slots.indices { slots[slot] = TokenSlot() }
    }
    var pending: [(id: Int, key: TokenKey)] = []
    pending.reserveCapacity(Vocabulary.block)
    var seen: [TokenSlot] = []
    seen.reserveCapacity(Vocabulary.block)
    var duplicate: Int?
    for id in forms.indices {
      if forms[id] == .bytes || verbatim && forms[id] == .verbatim {
        let start = Int(places[id].start)
        pending.append((id, TokenKey(arena.span, start, start + Int(places[id].length), seed: seed)))
      }
      guard pending.count == Vocabulary.block || id == forms.count - 1 else { continue }
      for item in pending { seen.append(slots[home(item.key)]) }
      for (index, item) in pending.enumerated() {
        if !enter(item.id, item.key, seen[index]) { duplicate = duplicate ?? item.id }
      }
      pending.removeAll(keepingCapacity: true)
      seen.removeAll(keepingCapacity: true)
    }
    return duplicate
  }

  @inline(__always)
  private func home(_ key: TokenKey) -> Int { Int(truncatingIfNeeded: key.hash) & (slots.count - 1) }

  /// - Parameter seen: what was in the key's first slot, now or before other tokens were entered.
  @inline(__always)
  private mutating func enter(_ id: Int, _ key: TokenKey, _ seen: TokenSlot) -> Bool {
    var index = home(key)
    var slot = seen.isFree ? slots[index] : seen
    while !slot.isFree {
      if slot.matches(key) && (key.isWhole || equal(arena.span, place(of: id), slot.id)) { return false }
      index = (index + 1) & (slots.count - 1)
      slot = slots[index]
    }
    slots[index] = TokenSlot(key, id: id)
    return true
  }

  private mutating func grow() {
    slots = [TokenSlot](largePages: TokenSlot(), count: slots.count * 2)
    _ = index()
  }

  @inline(__always)
  private func place(of id: Int) -> Range<Int> {
    Int(places[id].start)..<Int(places[id].start) + Int(places[id].length)
  }

  @inline(__always)
  private func find(_ bytes: Span<UInt8>, _ start: Int, _ end: Int, _ key: TokenKey, _ first: TokenSlot) -> Int32 {
    var index = home(key)
    var slot = first
    while !slot.isFree {
      if slot.matches(key) && (key.isWhole || equal(bytes, start..<end, slot.id)) {
        return Int32(truncatingIfNeeded: slot.id)
      }
      index = (index + 1) & (slots.count - 1)
      slot = slots[index]
    }
    return -1
  }

  @inline(__always)
  func key(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) -> TokenKey { TokenKey(bytes, start, end, seed: seed) }

  /// The token that is exactly `bytes[start..<end]`, whose key is `key`; or -1.
  @inline(__always)
  func id(of bytes: Span<UInt8>, _ start: Int, _ end: Int, key: TokenKey) -> Int32 {
    find(bytes, start, end, key, slots[home(key)])
  }

  func id(of bytes: Span<UInt8>, _ start: Int, _ end: Int) -> Int32 {
    id(of: bytes, start, end, key: key(bytes, start, end))
  }

  /// The ids of many texts; -1 for one that no token is.
  /// - Parameter ranges: where they lie in `bytes`.
  func ids(of bytes: Span<UInt8>, _ ranges: [Range<Int>], into ids: inout [Int32]) {
    let keys = ranges.map { key(bytes, $0.lowerBound, $0.upperBound) }
    let seen = keys.map { slots[home($0)] }
    for (index, range) in ranges.enumerated() {
      ids.append(find(bytes, range.lowerBound, range.upperBound, keys[index], seen[index]))
    }
  }

  /// The same, first trying `guess`: in a list of merges the tokens that are made come in order.
  func id(of bytes: Span<UInt8>, _ start: Int, _ end: Int, guess: Int32) -> Int32 {
    for id in guess...guess + 1 where id >= 0 && Int(id) < forms.count {
      if forms[Int(id)] != .absent && equal(bytes, start..<end, Int(id)) { return id }
    }
    return id(of: bytes, start, end)
  }

  @inline(__always)
  private func equal(_ bytes: Span<UInt8>, _ range: Range<Int>, _ id: Int) -> Bool {
    let place = places[id]
    guard Int(place.length) == range.count else { return false }
    return ByteWords.equal(arena.span, Int(place.start), bytes, range.lowerBound, range.count)
  }

  /// The bytes of a token; empty for an id without one.
  func bytes(of id: Int) -> ArraySlice<UInt8> {
    guard forms.indices.contains(id) else { return [] }
    return arena[Int(places[id].start)..<Int(places[id].start + places[id].length)]
  }
}

/// What is read at most, so that a file can neither exhaust memory nor time.
enum Limits {
  /// Greatest id plus one. The largest vocabularies in use have 262,144.
  static let tokens = 1 << 22
  static let merges = 1 << 22
  /// Bytes of one token.
  static let tokenBytes = 4096
  static let addedTokens = 1 << 17
  /// Bytes of an added token, which is looked for at every place of a text.
  static let addedTokenBytes = 1024
  /// Bytes of a SentencePiece model; the largest in use have 5 MB.
  static let sentencePieceBytes = 1 << 26
  /// Bytes of a file of ranks; the largest in use have 4 MB.
  static let rankFileBytes = 1 << 25
  /// Sum of the squares of the tokens' lengths, where every way to cut a token is tried.
  static let cuttingWork = 1 << 30
  /// Bytes of a chat template.
  static let templateBytes = 1 << 20
  /// Bytes of a tokenizer.json.
  static let fileBytes = 1 << 28
}

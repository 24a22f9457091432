import Bytes

/// The tokens of a model by id, in one arena of bytes, and the way back to the id.
///
/// Filled with texts as a file writes them, among which merges and added tokens are looked up; then `seal()` turns them
/// into the bytes they stand for, among which pieces of text are. Bytes, never `String`: Swift's strings compare by
/// canonical equivalence, which merges tokens that a vocabulary keeps apart. The table is open-addressed; a slot holds half
/// the hash beside the id, so that a miss rarely touches the arena.
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
  /// Half the hash above the id plus one; 0 is free.
  private var slots: [UInt64] = []
  private let seed = ByteHash.currentSeed

  /// One more than the greatest id.
  var count: Int { forms.count }
  /// Tokens that there are.
  private(set) var population = 0

  init(capacity: Int, bytes: Int) {
    arena.reserveCapacity(bytes)
    places.reserveCapacity(capacity)
    forms.reserveCapacity(capacity)
    slots = [UInt64](repeating: 0, count: Vocabulary.tableSize(capacity))
  }

  private static func tableSize(_ count: Int) -> Int {
    let wanted = max(count * 2, 16)
    return 1 << (Int.bitWidth - (wanted - 1).leadingZeroBitCount)
  }

  /// Adds the token whose text stands in the arena from `start` on.
  /// - Parameter id: below `Limits.tokens`, checked by the caller.
  /// - Returns: `false` when the id or the text is taken already.
  mutating func insert(id: Int, form: Form, start: Int) -> Bool {
    if id >= forms.count {
      let more = id + 1 - forms.count
      places.append(contentsOf: repeatElement(Place(), count: more))
      forms.append(contentsOf: repeatElement(.absent, count: more))
    }
    guard forms[id] == .absent else { return false }
    places[id] = Place(start: UInt32(start), length: UInt32(arena.count - start))
    forms[id] = form
    population += 1
    if population * 2 > slots.count { grow() }
    return enter(id, start, arena.count)
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
    slots = [UInt64](repeating: 0, count: slots.count)
    for id in 0..<forms.count where forms[id] != .absent {
      let start = arena.count
      arena.append(contentsOf: texts[Int(places[id].start)..<Int(places[id].start + places[id].length)])
      if forms[id] == .bytes && !ByteAlphabet.decode(&arena, from: start) { forms[id] = .verbatim }
      places[id] = Place(start: UInt32(start), length: UInt32(arena.count - start))
      // Different texts stand for different bytes, so this cannot fail.
      if forms[id] == .bytes { _ = enter(id, start, arena.count) }
    }
  }

  private mutating func enter(_ id: Int, _ start: Int, _ end: Int) -> Bool {
    let hash = ByteHash.hash(arena.span, start, end, seed: seed)
    let mask = slots.count - 1
    var slot = Int(truncatingIfNeeded: hash) & mask
    while slots[slot] != 0 {
      if slots[slot] >> 32 == hash >> 32 {
        let other = Int(slots[slot] & 0xFFFF_FFFF) - 1
        if equal(arena.span, start, end, other) { return false }
      }
      slot = (slot + 1) & mask
    }
    slots[slot] = hash & 0xFFFF_FFFF_0000_0000 | UInt64(id + 1)
    return true
  }

  private mutating func grow() {
    slots = [UInt64](repeating: 0, count: slots.count * 2)
    for id in 0..<forms.count where forms[id] != .absent {
      _ = enter(id, Int(places[id].start), Int(places[id].start + places[id].length))
    }
  }

  /// The token that is exactly `bytes[start..<end]`, or -1.
  @inline(__always)
  func id(of bytes: Span<UInt8>, _ start: Int, _ end: Int, hash: UInt64) -> Int32 {
    let mask = slots.count - 1
    var slot = Int(truncatingIfNeeded: hash) & mask
    while true {
      let entry = slots[slot]
      if entry == 0 { return -1 }
      if entry >> 32 == hash >> 32 {
        let id = Int(entry & 0xFFFF_FFFF) - 1
        if equal(bytes, start, end, id) { return Int32(truncatingIfNeeded: id) }
      }
      slot = (slot + 1) & mask
    }
  }

  @inline(__always)
  func hash(_ bytes: Span<UInt8>, _ start: Int, _ end: Int) -> UInt64 {
    ByteHash.hash(bytes, start, end, seed: seed)
  }

  func id(of bytes: Span<UInt8>, _ start: Int, _ end: Int) -> Int32 {
    id(of: bytes, start, end, hash: hash(bytes, start, end))
  }

  /// The same, first trying `guess`: in a list of merges the tokens that are made come in order.
  func id(of bytes: Span<UInt8>, _ start: Int, _ end: Int, guess: Int32) -> Int32 {
    for id in guess...guess + 1 where id >= 0 && Int(id) < forms.count {
      if forms[Int(id)] != .absent && equal(bytes, start, end, Int(id)) { return id }
    }
    return id(of: bytes, start, end)
  }

  @inline(__always)
  private func equal(_ bytes: Span<UInt8>, _ start: Int, _ end: Int, _ id: Int) -> Bool {
    let place = places[id]
    let length = Int(place.length)
    guard length == end - start else { return false }
    let base = Int(place.start)
    for index in 0..<length where arena[base + index] != bytes[start + index] { return false }
    return true
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

import Bytes

/// Builds vocabulary and merges from the `model` of a tokenizer.json.
struct BytePairBuilder {
  private(set) var vocabulary: Vocabulary
  private(set) var model: BytePairModel
  /// The token that the latest merge makes.
  private var lastMade: Int32 = -2
  private(set) var added: [AddedToken] = []

  /// - Parameters:
  ///   - json: the `model` of a tokenizer.json.
  ///   - addedTokens: its `added_tokens`.
  ///   - overCharacters: whether symbols are characters, with bytes to fall back to, and not bytes.
  init(_ json: JSONValue, addedTokens: JSONValue?, overCharacters: Bool = false) throws(InputError) {
    try BytePairBuilder.requirePlainPairs(json)
    let entries = try json.required("vocab")
    let merges = try json.required("merges")
    guard entries.kind == .object else { throw entries.mismatch("an object of tokens and ids", "vocab") }
    guard entries.count <= Limits.tokens else { throw BytePairBuilder.tooMany(entries, "vocab", Limits.tokens) }
    guard merges.kind == .array else { throw merges.mismatch("an array of merges", "merges") }
    guard merges.count <= Limits.merges else { throw BytePairBuilder.tooMany(merges, "merges", Limits.merges) }

    vocabulary = Vocabulary(capacity: entries.count, bytes: entries.count * 8)
    model = BytePairModel(
      merges: MergeTable(capacity: merges.count), byteTokens: [],
      ignoresMerges: try json.optional("ignore_merges")?.bool("ignore_merges") ?? false)
    try read(entries)
    try read(merges: merges)
    added = try readAdded(addedTokens)
    if let unknown = json.optional("unk_token") {
      model.unknown = try id(ofText: unknown.string("unk_token").utf8)
      guard model.unknown >= 0 else {
        throw InputError(
          .missing, "the unknown token is not in the vocabulary", file: json.file, subject: "unk_token",
          offset: unknown.offset)
      }
      model.fusesUnknown = try json.optional("fuse_unk")?.bool("fuse_unk") ?? false
    }
    if !overCharacters { seal() }
  }

  private mutating func seal() {
    vocabulary.seal()
    model.byteTokens = (0...255 as ClosedRange<UInt8>).map { vocabulary.id(of: [$0].span, 0, 1) }
  }

  private static func requirePlainPairs(_ json: JSONValue) throws(InputError) {
    func refuse(_ what: String, _ value: JSONValue, _ subject: String) -> InputError {
      InputError(
        .unsupported, what, file: json.file, subject: subject, offset: value.offset,
        remedy: "BPE as in GPT-2 and the Llamas is supported")
    }
    if let type = json.optional("type") {
      let name = try type.string("type")
      guard name == "BPE" else { throw refuse("a \(name) model is not supported", type, "model.type") }
    }
    if let dropout = json.optional("dropout"), try dropout.double("dropout") != 0 {
      throw refuse("merges dropped at random are not supported", dropout, "dropout")
    }
    for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
      if let affix = json.optional(key), try !affix.string(key).isEmpty {
        throw refuse("a \(key) is not supported", affix, key)
      }
    }
  }

  private static func tooMany(_ value: JSONValue, _ subject: String, _ limit: Int) -> InputError {
    InputError(
      .limit, "\(value.count) entries, at most \(limit) are read", file: value.file, subject: subject,
      offset: value.offset)
  }

  // MARK: Tokens

  private mutating func read(_ entries: JSONValue) throws(InputError) {
    for (key, value) in try entries.members("vocab") {
      let id = try value.int(in: 0...Limits.tokens - 1, "vocab")
      let start = try vocabulary.append { (arena) throws(InputError) in try key.appendUTF8(to: &arena) }
      try checkLength(start, key)
      guard vocabulary.place(id: id, form: .bytes, start: start) else {
        throw InputError(
          .duplicate, "id \(id) is given twice", file: value.file, subject: try key.string(), offset: value.offset)
      }
    }
    // The keys of an object are unique, so this finds none.
    if let id = vocabulary.index() {
      throw InputError(.duplicate, "token \(id) has the text of another", file: entries.file, offset: entries.offset)
    }
  }

  private func checkLength(_ start: Int, _ value: JSONValue) throws(InputError) {
    guard vocabulary.arena.count - start <= Limits.tokenBytes else {
      throw InputError(
        .limit, "a token of \(vocabulary.arena.count - start) bytes, at most \(Limits.tokenBytes) are read",
        file: value.file, subject: "vocab", offset: value.offset)
    }
  }

  /// The token whose text, as the file writes it, is `text`; or -1. Before `seal()`.
  private func id(ofText text: some Collection<UInt8>) -> Int32 {
    let text = Array(text)
    return vocabulary.id(of: text.span, 0, text.count)
  }

  // MARK: Merges

  private mutating func read(merges: JSONValue) throws(InputError) {
    var block = MergeBlock()
    var rank: UInt32 = 0
    for merge in try merges.elements("merges") {
      do {
        try block.append(merge, rank)
      } catch {
        try add(block, file: merges.file, replacing: true)  // of two errors the first is told
        throw error
      }
      rank += 1
      if block.isFull {
        try add(block, file: merges.file, replacing: true)
        block.removeAll()
      }
    }
    try add(block, file: merges.file, replacing: true)
  }

  private mutating func add(_ block: MergeBlock, file: String?, replacing: Bool) throws(InputError) {
    var ranges: [Range<Int>] = []
    ranges.reserveCapacity(block.items.count * 2)
    for item in block.items {
      ranges.append(item.start..<item.middle)
      ranges.append(item.middle..<item.end)
    }
    let text = block.text.span
    var parts: [Int32] = []
    parts.reserveCapacity(ranges.count)
    vocabulary.ids(of: text, ranges, into: &parts)
    var entries: [MergeTable.Entry] = []
    entries.reserveCapacity(block.items.count)
    for (index, item) in block.items.enumerated() {
      let (left, right) = (parts[2 * index], parts[2 * index + 1])
      let whole = vocabulary.id(of: text, item.start, item.end, guess: lastMade)
      guard left >= 0, right >= 0, whole >= 0 else {
        let range = left < 0 ? ranges[2 * index] : right < 0 ? ranges[2 * index + 1] : item.start..<item.end
        throw InputError(
          .missing, "a merge names a token that is not in the vocabulary", file: file,
          subject: String(decoding: block.text[range], as: UTF8.self), offset: item.offset)
      }
      lastMade = whole
      entries.append(
        MergeTable.Entry(left: left, right: right, merge: MergeTable.Merge(rank: item.rank, id: whole)))
    }
    model.merges.insert(entries, replacing: replacing)
  }

  // MARK: Added tokens

  /// The `added_tokens` of the file. One whose text is in the vocabulary has its id there.
  private func readAdded(_ json: JSONValue?) throws(InputError) -> [AddedToken] {
    guard let json else { return [] }
    guard json.count <= Limits.addedTokens else {
      throw BytePairBuilder.tooMany(json, "added_tokens", Limits.addedTokens)
    }
    var tokens: [AddedToken] = []
    var contents: [ExactString: Int32] = [:]
    var ids: [Int32: Int] = [:]
    for entry in try json.elements("added_tokens") {
      func flag(_ key: String, _ absent: Bool = false) throws(InputError) -> Bool {
        try entry.optional(key)?.bool(key) ?? absent
      }
      let content = try entry.required("content").string("content")
      let id = Int32(try entry.required("id").int(in: 0...Limits.tokens - 1, "added_tokens"))
      func conflict(_ what: String) -> InputError {
        InputError(.duplicate, what, file: entry.file, subject: content, offset: entry.offset)
      }
      guard content.utf8.count <= Limits.addedTokenBytes else {
        throw InputError(
          .limit, "an added token of \(content.utf8.count) bytes, at most \(Limits.addedTokenBytes) are read",
          file: entry.file, subject: "added_tokens", offset: entry.offset)
      }
      let known = self.id(ofText: content.utf8)
      if known >= 0 && known != id { throw conflict("added with id \(id), in the vocabulary with \(known)") }
      if known < 0 && vocabulary.forms.indices.contains(Int(id)) && vocabulary.forms[Int(id)] != .absent {
        throw conflict("added with id \(id), which is another token's")
      }
      if contents.updateValue(id, forKey: ExactString(content)) != nil { throw conflict("added twice") }
      if ids.updateValue(tokens.count, forKey: id) != nil { throw conflict("added with id \(id), which is taken") }
      let special = try flag("special")
      tokens.append(
        AddedToken(
          id: id, content: content, isSpecial: special, isNormalized: try flag("normalized", !special),
          isSingleWord: try flag("single_word"), stripsLeft: try flag("lstrip"), stripsRight: try flag("rstrip")))
    }
    return tokens
  }
}

extension BytePairBuilder {
  /// The vocabulary of a GGUF.
  /// - Parameter types: `tokenizer.ggml.token_type`, by id.
  init(tokens: [String], types: [TokenType], merges: [String], ignoresMerges: Bool) throws(InputError) {
    vocabulary = Vocabulary(capacity: tokens.count, bytes: tokens.count * 8)
    model = BytePairModel(
      merges: MergeTable(capacity: merges.count), byteTokens: [], ignoresMerges: ignoresMerges)
    for (id, token) in tokens.enumerated() {
      try add(token, id: id, type: types[id])
    }
    var block = MergeBlock()
    for (rank, merge) in merges.enumerated() {
      guard block.append(merge, UInt32(rank)) else {
        try add(block, file: nil, replacing: false)  // of two errors the first is told
        throw InputError(
          .type, "two tokens with a space between them expected, found \"\(merge)\"", subject: "tokenizer.ggml.merges")
      }
      if block.isFull {
        try add(block, file: nil, replacing: false)
        block.removeAll()
      }
    }
    try add(block, file: nil, replacing: false)
    seal()
  }

  private mutating func add(_ token: String, id: Int, type: TokenType) throws(InputError) {
    guard token.utf8.count <= Limits.tokenBytes else {
      throw InputError(
        .limit, "token \(id) has \(token.utf8.count) bytes, at most \(Limits.tokenBytes) are read",
        subject: "tokenizer.ggml.tokens")
    }
    let start = vocabulary.append { $0.append(contentsOf: token.utf8) }
    if type != .normal && type != .unused {
      let isSpecial = type != .userDefined || SpecialTokens.endsGeneration(token)
      added.append(AddedToken(id: Int32(id), content: token, isSpecial: isSpecial))
    }
    let form: Vocabulary.Form = type == .normal ? .bytes : .verbatim
    guard vocabulary.insert(id: id, form: form, start: start) else {
      throw InputError(.duplicate, "token \(id) has the text of another", subject: token)
    }
  }
}

extension BytePairBuilder {
  /// The model over characters; the builder was made with `overCharacters`.
  func characterPairs(_ json: JSONValue) throws(InputError) -> CharacterPairModel {
    if model.ignoresMerges {
      throw InputError(
        .unsupported, "merges ignored in a vocabulary with byte fallback are not supported", file: json.file,
        subject: "ignore_merges", offset: json.offset)
    }
    var byteTokens = [Int32](repeating: -1, count: 256)
    var spaceBeginsTokens = true
    for id in 0..<vocabulary.count {
      let text = vocabulary.bytes(of: id)
      if let byte = SentencePieceFile.byte(text) { byteTokens[Int(byte)] = Int32(id) }
      if CharacterPairModel.holdsInnerSpace(text) { spaceBeginsTokens = false }
    }
    return CharacterPairModel(
      vocabulary: vocabulary, reserved: [Bool](repeating: false, count: vocabulary.count), merges: model.merges,
      byteTokens: byteTokens, unknown: model.unknown, fusesUnknown: model.fusesUnknown,
      spaceBeginsTokens: spaceBeginsTokens)
  }

  /// Types as upstream gives them; scores by the order of the merges, where upstream writes -1000 for all, with which a
  /// reader that merges by score goes from left to right.
  func attributes(_ added: [AddedToken], _ pairs: CharacterPairModel) -> PieceAttributes {
    var attributes = PieceAttributes(
      scores: [Float](repeating: -1000, count: vocabulary.count),
      types: [TokenType](repeating: .normal, count: vocabulary.count))
    for id in pairs.byteTokens where id >= 0 { attributes.types[Int(id)] = .byte }
    for merge in pairs.merges.ordered.reversed() { attributes.scores[Int(merge.merge.id)] = -Float(merge.merge.rank) }
    for token in added {
      if Int(token.id) < vocabulary.count {
        if token.isSpecial { attributes.types[Int(token.id)] = .control }
      } else {
        attributes.overrides.append(
          PieceAttributes.Override(
            id: token.id, text: token.content, type: token.isSpecial ? .control : .userDefined))
      }
    }
    return attributes
  }
}

public import Bytes

/// Which special tokens Meta gave a Llama; the ids are the same, six names differ.
public enum LlamaGeneration: Sendable, CaseIterable {
  /// Llama 3.
  case three
  /// Llama 3.1 to 3.3, as Hugging Face names them.
  case threeOne

  /// - Parameter params: Meta's params.json. Those of Llama 3.0 do not know `use_scaled_rope`; everything that came after
  ///   has the later names.
  public init(params: JSONValue) {
    self = (params.optional("model") ?? params)["use_scaled_rope"] == nil ? .three : .threeOne
  }

  /// The 256 special tokens, the first with the id after the last rank.
  var specialTokens: [String] {
    func reserved(_ numbers: ClosedRange<Int>) -> [String] { numbers.map { "<|reserved_special_token_\($0)|>" } }
    let header = ["<|start_header_id|>", "<|end_header_id|>"]
    let ends = ["<|begin_of_text|>", "<|end_of_text|>"]
    switch self {
    case .three: return ends + reserved(0...3) + header + reserved(4...4) + ["<|eot_id|>"] + reserved(5...250)
    case .threeOne:
      return ends + reserved(0...1) + ["<|finetune_right_pad_id|>"] + reserved(2...2) + header
        + ["<|eom_id|>", "<|eot_id|>", "<|python_tag|>"] + reserved(3...247)
    }
  }
}

extension Tokenizer {
  /// The tokenizer of Meta's Llama 3 downloads: a `tokenizer.model` in tiktoken's form, one token a line, base64 and rank.
  ///
  /// Merges are made from the ranks as Hugging Face does (transformers 5.23, `TikTokenConverter`): every way to cut a token
  /// in two tokens, by rank, so that ids and metadata are those of the published tokenizer.json.
  /// - Throws: `TYPE`, `DUP`, `LIMIT` or `GAP` (ranks must run from 0 without a hole), with the offset of the line.
  public init(rankFile bytes: [UInt8], file: String? = nil, generation: LlamaGeneration) throws(InputError) {
    let vocabulary = try RankFile.read(bytes, file)
    let count = Int32(vocabulary.count)
    let added = generation.specialTokens.enumerated().map { index, name in
      AddedToken(id: count + Int32(index), content: name, isSpecial: true)
    }
    var special = SpecialTokens()
    special.assign(.bos, count)
    special.assign(.eos, count + 1)
    special.setAdded(.bos, true)
    special.setAdded(.eos, false)
    special.setAdded(.sep, false)
    special.prefix = [count]

    let tokens = (0...255 as ClosedRange<UInt8>).map { vocabulary.id(of: [$0].span, 0, 1) }
    self.init(
      vocabulary: vocabulary, addedTokens: added,
      model: .bytePairs(
        BytePairModel(merges: RankFile.merges(vocabulary), byteTokens: tokens, ignoresMerges: true),
        PreTokenizer(.llama3)),
      special: special)
  }
}

enum RankFile {
  /// Whether `head`, the first bytes of a file, begins a rank file: a line of base64, a space and digits.
  static func isRankFile(_ head: some Collection<UInt8>) -> Bool {
    guard let end = head.firstIndex(of: 0x0A) else { return false }
    let line = Array(head[..<end])
    guard let space = line.firstIndex(of: 0x20), Base64.decode(line[..<space]) != nil else { return false }
    return !line[(space + 1)...].isEmpty && line[(space + 1)...].allSatisfy { $0 >= 0x30 && $0 <= 0x39 || $0 == 0x0D }
  }

  static func read(_ bytes: [UInt8], _ file: String?) throws(InputError) -> Vocabulary {
    guard bytes.count <= Limits.rankFileBytes else {
      throw InputError(.limit, "\(bytes.count) bytes, at most \(Limits.rankFileBytes) are read", file: file)
    }
    var work = 0
    var vocabulary = Vocabulary(capacity: min(bytes.count / 12, Limits.tokens), bytes: bytes.count / 2)
    var start = 0
    while start < bytes.count {
      let end = bytes[start...].firstIndex(of: 0x0A) ?? bytes.count
      defer { start = end + 1 }
      let line = bytes[start..<end].last == 0x0D ? bytes[start..<end - 1] : bytes[start..<end]
      if line.isEmpty { continue }
      func wrong(_ code: InputError.Code, _ problem: String) -> InputError {
        InputError(code, problem, file: file, offset: UInt64(start), remedy: "download the file again")
      }
      guard let space = line.firstIndex(of: 0x20), let token = Base64.decode(line[..<space]), !token.isEmpty,
        let rank = Int(String(decoding: line[(space + 1)...], as: UTF8.self))
      else { throw wrong(.type, "a line with a token in base64 and its rank expected") }
      guard rank >= 0, rank < Limits.tokens, token.count <= Limits.tokenBytes else {
        throw wrong(.limit, "rank \(rank) of a token of \(token.count) bytes")
      }
      work += token.count * token.count
      guard work <= Limits.cuttingWork else { throw wrong(.limit, "the tokens up to here are too long") }
      let place = vocabulary.append { $0.append(contentsOf: token) }
      guard vocabulary.insert(id: rank, form: .bytes, start: place) else {
        throw wrong(.duplicate, "the rank \(rank) or its token stands twice")
      }
    }
    if let hole = vocabulary.forms.firstIndex(of: .absent) {
      throw InputError(.gap, "no token has rank \(hole)", file: file, remedy: "download the file again")
    }
    guard vocabulary.count > 0 else { throw InputError(.truncated, "no token in the file", file: file) }
    return vocabulary
  }

  static func merges(_ vocabulary: Vocabulary) -> MergeTable {
    struct Cut {
      var left: Int32
      var right: Int32
      var id: Int32
    }
    var cuts: [Cut] = []
    cuts.reserveCapacity(vocabulary.count * 5 / 2)
    for id in 0..<vocabulary.count {
      let token = Array(vocabulary.bytes(of: id))
      let first = cuts.count
      for middle in 1..<max(token.count, 1) {
        let left = vocabulary.id(of: token.span, 0, middle)
        if left < 0 { continue }
        let right = vocabulary.id(of: token.span, middle, token.count)
        if right >= 0 { cuts.append(Cut(left: left, right: right, id: Int32(id))) }
      }
      cuts[first...].sort { ($0.left, $0.right) < ($1.left, $1.right) }
    }
    var table = MergeTable(capacity: cuts.count)
    for (rank, cut) in cuts.enumerated() {
      _ = table.insert(cut.left, cut.right, MergeTable.Merge(rank: UInt32(rank), id: cut.id), replacing: false)
    }
    return table
  }
}

/// Base64 (RFC 4648), as strict as a file from outside needs.
enum Base64 {
  /// `nil` for a character outside the alphabet, a length that is no multiple of 4, or padding but at the end.
  static func decode(_ text: ArraySlice<UInt8>) -> [UInt8]? {
    guard text.count % 4 == 0 else { return nil }
    let padding = text.reversed().prefix { $0 == UInt8(ascii: "=") }.count
    guard padding <= 2 else { return nil }
    var out: [UInt8] = []
    out.reserveCapacity(text.count / 4 * 3)
    var bits: UInt32 = 0
    var count: UInt32 = 0
    for byte in text.dropLast(padding) {
      guard let value = value(byte) else { return nil }
      bits = bits << 6 | value
      count += 6
      if count >= 8 {
        count -= 8
        out.append(UInt8(truncatingIfNeeded: bits >> count))
      }
    }
    return out
  }

  private static func value(_ byte: UInt8) -> UInt32? {
    switch byte {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(byte - UInt8(ascii: "A"))
    case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(byte - UInt8(ascii: "a")) + 26
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0")) + 52
    case UInt8(ascii: "+"): 62
    case UInt8(ascii: "/"): 63
    default: nil
    }
  }
}

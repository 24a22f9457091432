import Bytes
import Tensors
import TestSupport
import Testing
import Tokenizers

/// Ids recorded from sentencepiece and from Hugging Face's form of its models; fixtures/tokens/README.md says how.
@Suite struct SentencePieceTests {
  private func json(_ name: String) throws -> JSONValue {
    try JSONDocument(reading: Fixtures.path("tokens/" + name), limit: 1 << 24).root
  }

  private func texts(_ json: JSONValue) throws -> [String] {
    try json.required("texts").elements().map { try $0.string() }
  }

  private func ids(_ json: JSONValue) throws -> [[Int32]] {
    try json.required("ids").elements().map { try $0.elements().map { Int32(try $0.int()) } }
  }

  private func model(_ name: String, _ sources: TokenizerSources = TokenizerSources(tokenizer: nil)) throws -> Tokenizer
  {
    let bytes = try RandomAccessFile(Fixtures.path("tokens/\(name).model")).readAll(limit: 1 << 20)
    return try Tokenizer(sentencePiece: bytes, sources)
  }

  @Test(arguments: ["unigram", "unigram-no-bytes", "bpe", "bpe-user-defined"])
  func aModelGivesTheRecordedIDs(_ name: String) throws {
    let recorded = try json("sentencepiece.json")
    let item = try #require(
      try recorded.required("models").elements().first { try $0.required("name").string() == name })
    let tokenizer = try model(name)
    for (text, expected) in zip(try texts(recorded), try ids(item)) {
      let found = tokenizer.encode(text, addSpecial: false, parseSpecial: false)
      #expect(found == expected, "\(text.debugDescription)")
    }
  }

  @Test func huggingFacesFormGivesTheRecordedIDs() throws {
    let base = String(
      decoding: try RandomAccessFile(Fixtures.path("tokens/byte-fallback.json")).readAll(limit: 1 << 20),
      as: UTF8.self)
    let recorded = try json("byte-fallback-ids.json")
    let texts = try texts(recorded)
    for item in try recorded.required("cases").elements() {
      let normalizer = try item.required("normalizer").string()
      let preTokenizer = try item.required("pre_tokenizer").string()
      let changed = base.replacing("\"HERE\"", with: normalizer).replacing("\"THERE\"", with: preTokenizer)
      let document = try JSONDocument(parsing: Array(changed.utf8))
      let tokenizer = try Tokenizer(TokenizerSources(tokenizer: document.root))
      for (text, expected) in zip(texts, try ids(item)) {
        #expect(tokenizer.encode(text) == expected, "\(normalizer) \(preTokenizer) \(text.debugDescription)")
      }
    }
  }

  /// llama.cpp merges by score and puts a space before every stretch of text, as this model's own rules do.
  @Test func aGGUFOfAModelGivesTheSameIDs() throws {
    let tokenizer = try model("bpe")
    let metadata = try tokenizer.ggufMetadata(vocabularySize: 520)
    let read = try Tokenizer(metadata: metadata)
    for text in try texts(json("sentencepiece.json")) {
      let expected = tokenizer.encode(text, addSpecial: false, parseSpecial: false)
      #expect(read.encode(text, addSpecial: false, parseSpecial: false) == expected, "\(text.debugDescription)")
    }
    #expect(try read.ggufMetadata(vocabularySize: 520)["tokenizer.ggml.scores"] == metadata["tokenizer.ggml.scores"])
  }

  @Test func decodingTakesTheSpaceOffAgain() throws {
    for name in ["bpe", "unigram-no-bytes"] {
      let tokenizer = try model(name)
      for text in ["Hello world", " two  spaces ", "new\nline\t", "naïve"] {
        let ids = tokenizer.encode(text, addSpecial: false)
        if name == "bpe" || !ids.contains(0) {
          #expect(String(decoding: tokenizer.decode(ids), as: UTF8.self) == text)
        }
      }
    }
    let tokenizer = try model("bpe")
    #expect(tokenizer.tokenBytes(3) == [0] && tokenizer.tokenBytes(3 + 0xE2) == [0xE2])
  }

  @Test func controlTokensAreReadOnlyWhenAsked() throws {
    let tokenizer = try model("bpe")
    let text = "<s>hi</s>"
    let parsed = tokenizer.encode(text, addSpecial: false, parseSpecial: true)
    #expect(parsed.first == 1 && parsed.last == 2)
    let plain = tokenizer.encode(text, addSpecial: false, parseSpecial: false)
    #expect(!plain.contains(1) && !plain.contains(2))
    #expect(tokenizer.decode(plain) == Array(text.utf8))
  }

  // MARK: Metadata

  @Test func metadataIsThatOfTheConverter() throws {
    func parse(_ text: String) throws -> JSONValue { try JSONDocument(parsing: Array(text.utf8)).root }
    var sources = TokenizerSources(
      tokenizer: nil,
      configuration: try parse(
        """
        {"add_bos_token": true, "add_eos_token": false, "bos_token": "<s>", "chat_template": "T",
         "added_tokens_decoder": {"0": {"content": "<unk>", "special": true}, "501": {"content": "<\u{2581}x>"}}}
        """),
      modelConfiguration: try parse(#"{"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": -1}"#))
    sources.addedTokens = try parse(#"{"<extra>": 500}"#)
    let metadata = try model("bpe", sources).ggufMetadata(vocabularySize: 503)
    #expect(
      metadata.keys.map { $0.dropFirst("tokenizer.".count) } == [
        "ggml.model", "ggml.pre", "ggml.tokens", "ggml.scores", "ggml.token_type", "ggml.bos_token_id",
        "ggml.eos_token_id", "ggml.add_bos_token", "ggml.add_eos_token", "chat_template",
      ])
    #expect(metadata["tokenizer.ggml.model"] == .string("llama"))
    #expect(metadata["tokenizer.ggml.pre"] == .string("default"))
    let tokens = try #require(metadata["tokenizer.ggml.tokens"]?.strings)
    #expect(tokens[0] == "<unk>" && tokens[3] == "<0x00>" && tokens.suffix(3) == ["<extra>", "< x>", "[PAD502]"])
    guard case .float32s(let scores)? = metadata["tokenizer.ggml.scores"],
      case .int32s(let types)? = metadata["tokenizer.ggml.token_type"]
    else { throw InputError(.type, "scores and types") }
    #expect(types[0..<4] == [3, 3, 3, 6] && types.suffix(3) == [4, 4, 5])
    #expect(scores[0] == -1000 && scores[3] == 0 && scores.suffix(3) == [-1000, -1000, -10000])
  }

  @Test func aUnigramVocabularyIsNotWrittenAsBPE() throws {
    let tokenizer = try model("unigram")
    #expect { try tokenizer.ggufMetadata(vocabularySize: 500) } throws: { ($0 as? InputError)?.code == .unsupported }
  }

  @Test func aVocabularyWithoutPrefixSaysSo() throws {
    let normalizer = #"{"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}"#
    let text = """
      {"normalizer": \(normalizer), "added_tokens": [{"id": 0, "content": "<unk>", "special": true}],
       "model": {"byte_fallback": true, "unk_token": "<unk>", "vocab": {"<unk>": 0, "a": 1, "b": 2, "ab": 3, "\u{2581}": 4},
         "merges": ["a b"]}}
      """
    let tokenizer = try Tokenizer(TokenizerSources(tokenizer: JSONDocument(parsing: Array(text.utf8)).root))
    #expect(tokenizer.encode("ab abxa") == [3, 4, 3, 0, 1])
    let metadata = try tokenizer.ggufMetadata(vocabularySize: 5)
    #expect(metadata["tokenizer.ggml.add_space_prefix"] == .bool(false))
    #expect(metadata["tokenizer.ggml.scores"] == .float32s([-1000, -1000, -1000, 0, -1000]))
    #expect(metadata["tokenizer.ggml.token_type"] == .int32s([3, 1, 1, 1, 1]))
    #expect(try Tokenizer(metadata: metadata).encode("ab abxa", addSpecial: false) == [3, 4, 3, 0, 1])
  }

  // MARK: Hostile files

  private func expect(_ code: InputError.Code, _ bytes: [UInt8]) {
    #expect {
      try Tokenizer(sentencePiece: bytes, TokenizerSources(tokenizer: nil))
    } throws: {
      ($0 as? InputError)?.code == code
    }
  }

  private func field(_ number: UInt8, _ body: [UInt8]) -> [UInt8] { [number << 3 | 2, UInt8(body.count)] + body }

  private func piece(_ text: String, type: UInt8 = 1, score: Float = 0) -> [UInt8] {
    let bits = score.bitPattern
    let bytes = (0..<4).map { UInt8(truncatingIfNeeded: bits >> (8 * $0)) }
    return field(1, field(1, Array(text.utf8)) + [2 << 3 | 5] + bytes + [3 << 3, type])
  }

  private let bpe: [UInt8] = [2 << 3 | 2, 2, 3 << 3, 2]

  @Test func theSmallestModelIsAccepted() throws {
    let bytes = piece("<unk>", type: 2) + piece("a") + piece("\u{2581}") + piece("\u{2581}a") + bpe
    let tokenizer = try Tokenizer(sentencePiece: bytes, TokenizerSources(tokenizer: nil))
    #expect(tokenizer.encode("a a", addSpecial: false) == [3, 3])
    #expect(tokenizer.encode("ab", addSpecial: false) == [3, 0])
  }

  @Test func brokenFilesHaveTheirError() {
    let unknown = piece("<unk>", type: 2)
    expect(.type, [])
    expect(.truncated, [10, 200])
    expect(.truncated, [10, 5, 10, 9, 1, 1, 1])
    expect(.truncated, [10, 0x80])
    expect(.type, [10, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1])
    expect(.type, [11])  // a group
    expect(.type, [0])
    expect(.type, [8, 1])  // a piece that is a number
    expect(.type, unknown + field(1, field(1, [97]) + [3 << 3, 9]))
    expect(.limit, unknown + field(1, []))
    expect(.utf8, unknown + field(1, field(1, [0xFF])))
    expect(.utf8, unknown + field(1, field(1, [0])))
    expect(.nonFinite, unknown + piece("a", score: .nan))
    expect(.nonFinite, unknown + piece("a", score: -.infinity))
    expect(.duplicate, unknown + piece("<2>", type: 2))
    expect(.duplicate, unknown + piece("a") + piece("a"))
    expect(.missing, piece("a"))
    expect(.missing, unknown + [2 << 3 | 2, 3, 0x98, 2, 1])  // bytes to fall back to, which are not there
    expect(.type, unknown + piece("x", type: 6))
    expect(.unsupported, unknown + [2 << 3 | 2, 2, 3 << 3, 3])
    expect(.type, unknown + [2 << 3 | 2, 2, 3 << 3, 7])
    expect(.unsupported, unknown + piece("u", type: 5) + bpe)
    expect(.unsupported, unknown + [2 << 3 | 2, 3, 0xC0, 1, 1])  // spaces as suffixes
    expect(.bounds, unknown + [3 << 3 | 2, 7, 2 << 3 | 2, 5, 255, 255, 255, 127, 0])
  }

  @Test func aLongPieceIsALimit() {
    let text = [UInt8](repeating: 97, count: 1 << 20)
    func length(_ count: Int) -> [UInt8] {
      [UInt8(count & 0x7F) | 0x80, UInt8(count >> 7 & 0x7F) | 0x80, UInt8(count >> 14)]
    }
    expect(.limit, piece("<unk>", type: 2) + [10] + length(text.count + 4) + [10] + length(text.count) + text)
  }

  /// Whatever bytes change, the answer is a tokenizer or a named error.
  @Test(.timeLimit(.minutes(1)), arguments: ["unigram", "bpe-user-defined"])
  func changedBytesNeverTrap(_ name: String) throws {
    let original = try RandomAccessFile(Fixtures.path("tokens/\(name).model")).readAll(limit: 1 << 20)
    var random = SeededGenerator(seed: 11)
    for _ in 0..<600 {
      var bytes = original
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      if Bool.random(using: &random) { bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random)) }
      do {
        let tokenizer = try Tokenizer(sentencePiece: bytes, TokenizerSources(tokenizer: nil))
        _ = tokenizer.encode("ﬁne <sep> 漢字 naïve \u{200B}x", addSpecial: true)
      } catch {}  // an InputError, by its type
    }
  }

  /// What is quadratic would take hours here.
  @Test(.timeLimit(.minutes(30)), arguments: ["a", "é", " ", "\n", "漢", "🦙"])
  func aMebibyteWithoutSpacesIsNoTrouble(_ unit: String) throws {
    let text = String(repeating: unit, count: (1 << 20) / unit.utf8.count)
    for name in ["unigram", "bpe"] {
      let ids = try model(name).encode(text, addSpecial: false)
      // Some normalizers take spaces away.
      #expect(!ids.isEmpty || " \n".contains(unit))
    }
  }
}

import Bytes
import TestSupport
import Testing
import Tokenizers

/// One test a law; the numbers are those of the collection of bad inputs that every reader is held to.
@Suite(.timeLimit(.minutes(1))) struct HostileTokenizerTests {
  private func build(
    vocab: String = #"{"a": 0, "b": 1, "ab": 2}"#, merges: String = #"["a b"]"#, model: String = #""type": "BPE""#,
    added: String = "[]", more: String = ""
  ) throws -> Tokenizer {
    let json = """
      {\(more) "added_tokens": \(added), "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
       "model": {\(model), "vocab": \(vocab), "merges": \(merges)}}
      """
    return try Tokenizer(
      TokenizerSources(tokenizer: JSONDocument(parsing: Array(json.utf8), file: "tokenizer.json").root))
  }

  private func expect(_ code: InputError.Code, _ body: () throws -> Tokenizer) {
    #expect { try body() } throws: { ($0 as? InputError)?.code == code }
  }

  @Test func theSmallestIsAccepted() throws {
    #expect(try build().encode("abab a") == [2, 2, 0])
  }

  // 143
  @Test(arguments: ["[", #"{"a":"#]) func deepNestingIsALimit(_ opener: String) {
    expect(.limit) {
      try build(vocab: String(repeating: opener, count: 100_000))
    }
  }

  // 144
  @Test func aHugeFileIsALimitBeforeItIsRead() throws {
    let folder = try TemporaryFolder()
    try folder.writeSparse("tokenizer.json", size: 2 << 30)
    expect(.limit) { try Tokenizer(folder: folder.path) }
  }

  @Test func aFolderWithoutTokenizerIsMissing() throws {
    let folder = try TemporaryFolder()
    expect(.missing) { try Tokenizer(folder: folder.path) }
  }

  // 145
  @Test func tooManyMergesAreALimit() {
    let merges = "[" + String(repeating: "0,", count: 10_000_000) + "0]"
    expect(.limit) { try build(merges: merges) }
  }

  @Test(arguments: [#"["a c"]"#, #"["c a"]"#, #"["b a"]"#, #"[["a", "c"]]"#, #"["\u00e9\u20ac a"]"#])
  func aMergeOfUnknownTokensIsMissing(_ merges: String) {
    expect(.missing) { try build(merges: merges) }
  }

  @Test(arguments: [
    #"["ab"]"#, #"["a  b"]"#, #"["a b a"]"#, #"[["a"]]"#, #"[["a", "b", "a"]]"#, "[1]", "{}", #"[["a", 1]]"#,
  ])
  func aMergeIsTwoTokens(_ merges: String) {
    expect(.type) { try build(merges: merges) }
  }

  // 146
  @Test func anIDGivenTwiceIsADuplicate() {
    expect(.duplicate) { try build(vocab: #"{"a": 0, "b": 0}"#, merges: "[]") }
  }

  @Test func aTextGivenTwiceIsADuplicate() { expect(.duplicate) { try build(vocab: #"{"a": 0, "a": 1}"#) } }

  @Test(arguments: ["9223372036854775808", "1.0", "true", "null", #""1""#])
  func anIDIsAWholeNumber(_ id: String) {
    expect(.type) { try build(vocab: #"{"a": 0, "b": \#(id)}"#, merges: "[]") }
  }

  @Test(arguments: ["-1", "4194304", "9223372036854775807"]) func anIDIsInRange(_ id: String) {
    expect(.limit) { try build(vocab: #"{"a": 0, "b": \#(id)}"#, merges: "[]") }
  }

  @Test func aGapIsPadded() throws {
    let metadata = try build(vocab: #"{"a": 0, "b": 2}"#, merges: "[]").ggufMetadata(vocabularySize: 4)
    #expect(metadata["tokenizer.ggml.tokens"] == .strings(["a", "[PAD1]", "b", "[PAD3]"]))
    #expect(metadata["tokenizer.ggml.token_type"] == .int32s([1, 5, 1, 5]))
  }

  // 147
  @Test func moreTokensThanRowsIsAShape() throws {
    let tokenizer = try build()
    #expect { try tokenizer.ggufMetadata(vocabularySize: 2) } throws: { ($0 as? InputError)?.code == .shape }
  }

  // 149
  @Test func halfASurrogateIsNoText() { expect(.utf8) { try build(vocab: #"{"\ud800": 0}"#, merges: "[]") } }

  @Test func aTokenOfAMebibyteIsALimit() {
    let token = String(repeating: "a", count: 1 << 20)
    expect(.limit) { try build(vocab: "{\"\(token)\": 0}", merges: "[]") }
    expect(.limit) { try build(added: #"[{"id": 3, "content": "\#(token)"}]"#) }
  }

  @Test func aRawControlCharacterIsNoJSON() { expect(.json) { try build(vocab: "{\"\u{1}\": 0}", merges: "[]") } }

  /// Characters outside the byte alphabet are kept as they are, and no text reaches them.
  @Test func charactersOutsideTheAlphabetAreKept() throws {
    let tokenizer = try build(vocab: #"{"a": 0, "b": 1, "\u0001": 2, "\u20ac x": 3}"#, merges: "[]")
    #expect(tokenizer.encode("a€ x\u{1}b") == [0, 1])
    let metadata = try tokenizer.ggufMetadata(vocabularySize: 4)
    #expect(metadata["tokenizer.ggml.tokens"] == .strings(["a", "b", "\u{1}", "€ x"]))
  }

  @Test func canonicallyEquivalentTokensStayApart() throws {
    let tokenizer = try build(
      vocab: "{\"a\": 0}", merges: "[]",
      added: """
        [{"id": 1, "content": "\u{212B}", "special": true}, {"id": 2, "content": "\u{C5}", "special": true},
         {"id": 3, "content": "A\u{30A}", "special": true}]
        """)
    #expect(tokenizer.encode("\u{C5}\u{212B}A\u{30A}") == [2, 1, 3])
  }

  // 150
  @Test func aChatTemplateIsCopiedAndNeverRun() throws {
    let template = "{{ ''.__class__.__mro__[1].__subclasses__() }}\u{0}\r\n"
    let config = "{\"chat_template\": \"{{ ''.__class__.__mro__[1].__subclasses__() }}\\u0000\\r\\n\"}"
    let tokenizer = try withConfiguration(config)
    #expect(try tokenizer.ggufMetadata(vocabularySize: 1)["tokenizer.chat_template"] == .string(template))
    let large = "{\"chat_template\": \"" + String(repeating: "x", count: 1 << 20 + 1) + "\"}"
    expect(.limit) { try withConfiguration(large) }
  }

  private func withConfiguration(_ config: String) throws -> Tokenizer {
    let json = #"{"pre_tokenizer": {"type": "ByteLevel"}, "model": {"vocab": {"a": 0}, "merges": []}}"#
    return try Tokenizer(
      TokenizerSources(
        tokenizer: JSONDocument(parsing: Array(json.utf8)).root,
        configuration: JSONDocument(parsing: Array(config.utf8)).root))
  }

  @Test(arguments: [
    #""type": "Unigram""#, #""type": "BPE", "byte_fallback": true"#, #""type": "BPE", "dropout": 0.1"#,
    #""type": "BPE", "end_of_word_suffix": "</w>""#, #""type": "BPE", "continuing_subword_prefix": "\#u{23}\#u{23}""#,
  ]) func otherModelsAreRefusedByName(_ model: String) {
    expect(.unsupported) { try build(model: model) }
  }

  @Test(arguments: [
    #""normalizer": {"type": "NFC"},"#, #""normalizer": {"type": "Sequence", "normalizers": [{"type": "Lowercase"}]},"#,
    #""post_processor": {"type": "RobertaProcessing"},"#,
    #""post_processor": {"type": "TemplateProcessing", "single": []},"#,
  ]) func whatWouldChangeTheIDsIsRefusedByName(_ more: String) {
    expect(.unsupported) { try build(more: more) }
  }

  @Test(arguments: [
    #"[{"id": 1, "content": "a"}]"#, #"[{"id": 1, "content": "x"}]"#,
    #"[{"id": 3, "content": "x"}, {"id": 3, "content": "y"}]"#,
    #"[{"id": 3, "content": "x"}, {"id": 4, "content": "x"}]"#,
  ]) func anAddedTokenHasItsOwnIDAndText(_ added: String) {
    expect(.duplicate) { try build(added: added) }
  }

  /// A piece without end must not take quadratic time: a quadratic search would take hours here.
  @Test(.timeLimit(.minutes(30)), arguments: ["a", "ab", "é", " ", "\n", "'", "1", "🦙"])
  func onePieceOfAMebibyteIsNoTrouble(_ unit: String) throws {
    let tokenizer = try Tokenizer(folder: Fixtures.path("tiny-llama"))
    let text = Array(String(repeating: unit, count: (1 << 20) / unit.utf8.count).utf8)
    #expect(tokenizer.decode(tokenizer.encode(text, addSpecial: false)) == text)
  }

  /// Whatever bytes change, the answer is a tokenizer or a named error.
  @Test func changedBytesNeverTrap() throws {
    let small = try RandomAccessFile(Fixtures.path("tokens/small.json")).readAll(limit: 1 << 20)
    let pre = #"{"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}"#
    let original = Array(String(decoding: small, as: UTF8.self).replacing("\"HERE\"", with: pre).utf8)
    var random = SeededGenerator(seed: 5)
    var accepted = 0
    for _ in 0..<300 {
      var bytes = original
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        // Mostly something that keeps the text a JSON: then what reads its meaning is reached.
        let byte = [0x30, 0x31, 0x39, 0x61, 0x22, 0x2C, 0x20, UInt8.random(in: 0...255, using: &random)].randomElement(
          using: &random)!
        bytes[Int.random(in: 0..<bytes.count, using: &random)] = byte
      }
      guard let document = try? JSONDocument(parsing: bytes) else { continue }
      if let tokenizer = try? Tokenizer(TokenizerSources(tokenizer: document.root)) {
        accepted += 1
        _ = tokenizer.encode("It's the  dogs and <mask> 漢字 cat\r\n")
        _ = try? tokenizer.ggufMetadata(vocabularySize: 1000)
      }
    }
    #expect(accepted > 0)
  }
}

import Bytes
import Testing
import TestSupport
import Tokenizers

/// Ids recorded from Hugging Face `tokenizers`; fixtures/tokens/README.md says how.
@Suite struct RecordedIDsTests {
  private static func json(_ name: String) throws -> JSONValue {
    try JSONDocument(reading: Fixtures.path(name), limit: 1 << 24).root
  }

  private func texts(_ json: JSONValue) throws -> [String] {
    try json.required("texts").elements().map { try $0.string() }
  }

  private func ids(_ json: JSONValue) throws -> [[Int32]] {
    try json.elements().map { try $0.elements().map { Int32(try $0.int()) } }
  }

  private func tinyLlama() throws -> Tokenizer { try Tokenizer(folder: Fixtures.path("tiny-llama")) }

  @Test(arguments: [("special", true, true), ("bare", false, true), ("plain", false, false)])
  func tinyLlamaGivesTheRecordedIDs(_ name: String, _ addSpecial: Bool, _ parseSpecial: Bool) throws {
    let recorded = try Self.json("tokens/tiny-llama.json")
    let tokenizer = try tinyLlama()
    for (text, expected) in zip(try texts(recorded), try ids(recorded.required(name))) {
      let found = tokenizer.encode(text, addSpecial: addSpecial, parseSpecial: parseSpecial)
      #expect(found == expected, "\(text.debugDescription)")
    }
  }

  @Test func aGGUFsVocabularyGivesTheSameIDs() throws {
    let recorded = try Self.json("tokens/tiny-llama.json")
    let metadata = try tinyLlama().ggufMetadata(vocabularySize: 4096)
    let tokenizer = try Tokenizer(metadata: metadata)
    for name in ["special", "bare", "plain"] {
      for (text, expected) in zip(try texts(recorded), try ids(recorded.required(name))) {
        let found = tokenizer.encode(text, addSpecial: name == "special", parseSpecial: name != "plain")
        #expect(found == expected, "\(name) \(text.debugDescription)")
      }
    }
    #expect(try tokenizer.ggufMetadata(vocabularySize: 4096) == metadata)
  }

  @Test func everyKnownPreTokenizerGivesTheRecordedIDs() throws {
    let small = String(
      decoding: try RandomAccessFile(Fixtures.path("tokens/small.json")).readAll(limit: 1 << 20), as: UTF8.self)
    let recorded = try Self.json("tokens/pre-tokenizers.json")
    let texts = try texts(recorded)
    for item in try recorded.required("cases").elements() {
      let name = try item.required("name").string()
      let changed = small.replacing("\"HERE\"", with: try item.required("pre_tokenizer").string())
      let document = try JSONDocument(parsing: Array(changed.utf8))
      let tokenizer = try Tokenizer(TokenizerSources(tokenizer: document.root))
      for (text, expected) in zip(texts, try ids(item.required("ids"))) {
        #expect(tokenizer.encode(text) == expected, "\(name) \(text.debugDescription)")
      }
    }
  }

  @Test func decodingGivesTheTextBack() throws {
    let tokenizer = try tinyLlama()
    for text in try texts(Self.json("tokens/tiny-llama.json")) {
      for parseSpecial in [false, true] {
        let ids = tokenizer.encode(text, addSpecial: false, parseSpecial: parseSpecial)
        #expect(String(decoding: tokenizer.decode(ids), as: UTF8.self).utf8.elementsEqual(text.utf8))
      }
    }
    let ids = tokenizer.encode("<|eot_id|>x", addSpecial: true)
    #expect(tokenizer.decode(ids, skipSpecial: true) == Array("x".utf8))
  }

  /// Seeded; the law holds for any bytes, valid UTF-8 or not.
  @Test func anyBytesComeBack() throws {
    let tokenizer = try tinyLlama()
    var random = SeededGenerator(seed: 7)
    for _ in 0..<2000 {
      let text = (0..<Int.random(in: 0...80, using: &random)).map { _ in
        Bool.random(using: &random) ? UInt8.random(in: 0...255, using: &random) : UInt8(ascii: "a")
      }
      #expect(tokenizer.decode(tokenizer.encode(text, addSpecial: false)) == text)
    }
  }
}

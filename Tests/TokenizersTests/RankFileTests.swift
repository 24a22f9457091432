import Bytes
import TestSupport
import Testing
import Tokenizers

/// Meta's form of a Llama 3 vocabulary.
@Suite struct RankFileTests {
  @Test func metasFormIsThatOfHuggingFace() throws {
    let meta = try Tokenizer(folder: Fixtures.path("tiny-llama/original"))
    let fast = try Tokenizer(folder: Fixtures.path("tiny-llama"))
    let ours = try meta.ggufMetadata(vocabularySize: 4096)
    let theirs = try fast.ggufMetadata(vocabularySize: 4096)
    // Its tokenizer.json holds the merges it was trained with, which are some of those that its ranks imply; Meta's form
    // has no template.
    let differing: Set = ["tokenizer.chat_template", "tokenizer.ggml.merges"]
    for key in theirs.keys where !differing.contains(key) {
      #expect(ours[key] == theirs[key], "\(key)")
    }
    let recorded = try JSONDocument(reading: Fixtures.path("tokens/tiny-llama.json"), limit: 1 << 24).root
    for text in try recorded.required("texts").elements() {
      let text = try text.string()
      #expect(
        meta.encode(text, parseSpecial: false) == fast.encode(text, parseSpecial: false), "\(text.debugDescription)")
    }
  }

  @Test func theGenerationsNameTheSameIDsDifferently() throws {
    let bytes = Array("YQ== 0\nYg== 1\nYWI= 2\n".utf8)
    let three = try Tokenizer(rankFile: bytes, generation: .three)
    let later = try Tokenizer(rankFile: bytes, generation: .threeOne)
    for tokenizer in [three, later] {
      #expect(tokenizer.vocabularySize == 3 + 256)
      #expect(tokenizer.bosID == 3 && tokenizer.eosID == 4)
      #expect(tokenizer.encode("ab<|eot_id|>") == [3, 2, 3 + 9])
    }
    #expect(three.tokenBytes(3 + 4) == Array("<|reserved_special_token_2|>".utf8))
    #expect(later.tokenBytes(3 + 4) == Array("<|finetune_right_pad_id|>".utf8))
    #expect(three.tokenBytes(3 + 255) == Array("<|reserved_special_token_250|>".utf8))
    #expect(later.tokenBytes(3 + 255) == Array("<|reserved_special_token_247|>".utf8))
  }

  @Test(
    arguments: [
      ("YQ== 0\nYg== 0\n", .duplicate), ("YQ== 0\nYQ== 1\n", .duplicate), ("YQ== 1\n", .gap), ("", .truncated),
      ("YQ==\n", .type), ("YQ== x\n", .type), ("YQ= 0\n", .type), ("Y?== 0\n", .type), ("=YQ= 0\n", .type),
      (" 0\n", .type), ("YQ== -1\n", .limit), ("YQ== 99999999\n", .limit), ("YQ== 0 1\n", .type),
      ("YQ== 99999999999999999999\n", .type),
    ] as [(String, InputError.Code)]) func aBrokenLineIsRefused(_ text: String, _ code: InputError.Code)
  {
    #expect {
      try Tokenizer(rankFile: Array(text.utf8), generation: .three)
    } throws: {
      ($0 as? InputError)?.code == code
    }
  }

  /// The vocabulary grows beyond what the bytes of the file let expect.
  @Test(arguments: [1024, 1025, 1100, 5000]) func shortLinesAreAllRead(_ count: Int) throws {
    let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/").map(String.init)
    let lines = (0..<count).map { "\(digits[$0 >> 10])\(digits[$0 >> 4 & 63])\(digits[($0 & 15) << 2])= \($0)\n" }
    let tokenizer = try Tokenizer(rankFile: Array(lines.joined().utf8), generation: .three)
    #expect(tokenizer.vocabularySize == count + 256)
    for id in 0..<count {
      #expect(tokenizer.tokenBytes(Int32(id)) == [UInt8(id >> 8), UInt8(id & 255)])
    }
  }

  @Test func aLongTokenIsALimit() {
    let text = String(repeating: "YWFh", count: 2000) + " 0\n"
    #expect {
      try Tokenizer(rankFile: Array(text.utf8), generation: .three)
    } throws: {
      ($0 as? InputError)?.code == .limit
    }
  }

  @Test func lineEndsOfWindowsAndEmptyLinesAreRead() throws {
    let tokenizer = try Tokenizer(rankFile: Array("YQ== 0\r\n\r\nYg== 1\r\n".utf8), generation: .three)
    #expect(tokenizer.encode("ab", addSpecial: false) == [0, 1])
  }
}

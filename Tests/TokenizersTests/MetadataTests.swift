import Bytes
import Tensors
import TestSupport
import Testing
import Tokenizers

/// What stands in a GGUF beside what llama.cpp 0c1e57098's converter writes for the same folder.
@Suite struct MetadataTests {
  private func json(_ text: String) throws -> JSONValue { try JSONDocument(parsing: Array(text.utf8)).root }

  private static let byteLevel = #""pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}"#
  private static let model = #""model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}"#

  private func tokenizer(
    added: String = "[]", processor: String = "null", config: String = "{}", model: String? = nil, map: String? = nil
  ) throws -> Tokenizer {
    try Tokenizer(
      TokenizerSources(
        tokenizer: json(
          "{\(Self.byteLevel), \(Self.model), \"added_tokens\": \(added), \"post_processor\": \(processor)}"),
        configuration: json(config), specialTokensMap: map.map { try json($0) },
        modelConfiguration: model.map { try json($0) }))
  }

  private static let three = """
    [{"id": 2, "content": "<s>", "special": true}, {"id": 3, "content": "</s>", "special": true},
     {"id": 4, "content": "<pad>"}]
    """

  @Test func tinyLlamaHasTheConvertersKeysInItsOrder() throws {
    let metadata = try Tokenizer(folder: Fixtures.path("tiny-llama")).ggufMetadata(vocabularySize: 4096)
    #expect(
      metadata.keys.map { $0.dropFirst("tokenizer.".count) } == [
        "ggml.model", "ggml.pre", "ggml.tokens", "ggml.token_type", "ggml.merges", "ggml.bos_token_id",
        "ggml.eos_token_id", "ggml.add_bos_token", "ggml.add_eos_token", "ggml.add_sep_token", "chat_template",
      ])
    #expect(metadata["tokenizer.ggml.model"] == .string("gpt2"))
    #expect(metadata["tokenizer.ggml.pre"] == .string("llama-bpe"))
    #expect(metadata["tokenizer.ggml.bos_token_id"] == .uint32(3840))
    #expect(metadata["tokenizer.ggml.eos_token_id"] == .uint32(3841))
    #expect(metadata["tokenizer.ggml.add_bos_token"] == .bool(true))
    #expect(metadata["tokenizer.ggml.add_eos_token"] == .bool(false))
    #expect(metadata["tokenizer.ggml.add_sep_token"] == .bool(false))
    guard case .int32s(let types)? = metadata["tokenizer.ggml.token_type"] else { throw InputError(.type, "types") }
    #expect(types == Array(repeating: 1, count: 3840) + Array(repeating: 3, count: 256))
    let merges = try #require(metadata["tokenizer.ggml.merges"]?.strings)
    #expect(merges.count == 3584 && merges.prefix(3) == ["Ġ Ġ", "Ġ t", "- -"])
    let tokens = try #require(metadata["tokenizer.ggml.tokens"]?.strings)
    #expect(tokens[0] == "!" && tokens[3849] == "<|eot_id|>" && tokens.count == 4096)
  }

  @Test func addedTokensAreControlOrUserDefined() throws {
    let added = """
      [{"id": 2, "content": "<s>", "special": true}, {"id": 3, "content": "<|x|>"}, {"id": 4, "content": "<pad>"},
       {"id": 5, "content": "\u{2581}x"}, {"id": 6, "content": "<unused0>"}, {"id": 8, "content": "<\u{FF5C}y\u{FF5C}>"}]
      """
    let metadata = try tokenizer(added: added).ggufMetadata(vocabularySize: 10)
    #expect(
      metadata["tokenizer.ggml.tokens"]
        == .strings(["a", "b", "<s>", "<|x|>", "<pad>", " x", "<unused0>", "[PAD7]", "<\u{FF5C}y\u{FF5C}>", "[PAD9]"]))
    #expect(metadata["tokenizer.ggml.token_type"] == .int32s([1, 1, 3, 3, 3, 4, 3, 5, 3, 5]))
  }

  @Test func idsComeFromTheConfigurationThenFromTheModel() throws {
    let tokenizer = try tokenizer(
      added: Self.three, config: #"{"eos_token": {"content": "</s>"}, "pad_token": "none", "add_bos_token": true}"#,
      model: #"{"bos_token_id": 2, "eos_token_id": [0, 1], "pad_token_id": 4, "unk_token_id": -1}"#)
    let metadata = try tokenizer.ggufMetadata(vocabularySize: 5)
    #expect(
      metadata.keys.suffix(4) == [
        "tokenizer.ggml.eos_token_id", "tokenizer.ggml.bos_token_id", "tokenizer.ggml.padding_token_id",
        "tokenizer.ggml.add_bos_token",
      ])
    #expect(metadata["tokenizer.ggml.eos_token_id"] == .uint32(3))
    #expect(metadata["tokenizer.ggml.bos_token_id"] == .uint32(2))
    #expect(metadata["tokenizer.ggml.padding_token_id"] == .uint32(4))
    #expect(tokenizer.encode("a") == [2, 0])
  }

  @Test func theMapOfSpecialTokensFillsWhatNothingElseSays() throws {
    let tokenizer = try tokenizer(
      added: Self.three, config: #"{"bos_token": "<s>"}"#, map: #"{"bos_token": "</s>", "eos_token": "</s>"}"#)
    #expect(tokenizer.bosID == 2 && tokenizer.eosID == 3)
  }

  @Test func aTemplateSurroundsTheText() throws {
    let processor = """
      {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}},
        {"SpecialToken": {"id": "</s>"}}], "special_tokens": {"<s>": {"ids": [2]}, "</s>": {"ids": [3]}}}
      """
    let tokenizer = try tokenizer(
      added: Self.three, processor: processor, config: #"{"bos_token": "<s>", "eos_token": "<pad>"}"#)
    #expect(tokenizer.encode("ab") == [2, 0, 1, 3])
    let metadata = try tokenizer.ggufMetadata(vocabularySize: 5)
    #expect(metadata["tokenizer.ggml.add_bos_token"] == .bool(true))
    #expect(metadata["tokenizer.ggml.add_eos_token"] == .bool(true))
    // The template's last token is the end of text; the configuration's is kept as end of turn.
    #expect(metadata["tokenizer.ggml.eos_token_id"] == .uint32(3))
    #expect(metadata["tokenizer.ggml.eot_token_id"] == .uint32(4))
  }

  @Test func namedTemplatesHaveTheirOwnKeys() throws {
    let config = """
      {"chat_template": [{"name": "tool use", "template": "T"}, {"name": "default", "template": "D"}],
       "add_prefix_space": false}
      """
    let metadata = try tokenizer(config: config).ggufMetadata(vocabularySize: 2)
    #expect(metadata.keys.first == "tokenizer.ggml.add_space_prefix")
    #expect(metadata["tokenizer.ggml.add_space_prefix"] == .bool(false))
    #expect(metadata["tokenizer.chat_template.tool_use"] == .string("T"))
    #expect(metadata["tokenizer.chat_templates"] == .strings(["tool_use"]))
    #expect(metadata["tokenizer.chat_template"] == .string("D"))
  }

  @Test func turnEndsAreNamedWhenAsked() throws {
    let tokenizer = try Tokenizer(folder: Fixtures.path("tiny-llama"))
    let metadata = try tokenizer.ggufMetadata(vocabularySize: 4096, namesTurnEnds: true)
    #expect(metadata["tokenizer.ggml.eot_token_id"] == .uint32(3849))
    #expect(metadata["tokenizer.ggml.eom_token_id"] == .uint32(3848))
    #expect(try tokenizer.ggufMetadata(vocabularySize: 4096)["tokenizer.ggml.eot_token_id"] == nil)
  }

  @Test func spacesInsideAMergeAreHidden() throws {
    let json = """
      {\(Self.byteLevel), "model": {"vocab": {"x y": 0, "z": 1, "x yz": 2}, "merges": [["x y", "z"]]}}
      """
    let tokenizer = try Tokenizer(TokenizerSources(tokenizer: self.json(json)))
    let metadata = try tokenizer.ggufMetadata(vocabularySize: 3)
    #expect(metadata["tokenizer.ggml.merges"] == .strings(["x\u{120}y z"]))
  }

  // MARK: Reading a GGUF

  private func gguf(_ change: (inout Metadata) -> Void) throws -> Tokenizer {
    var metadata = Metadata()
    metadata["tokenizer.ggml.model"] = .string("gpt2")
    metadata["tokenizer.ggml.pre"] = .string("gpt-2")
    metadata["tokenizer.ggml.tokens"] = .strings(["a", "b", "ab", "<s>"])
    metadata["tokenizer.ggml.token_type"] = .int32s([1, 1, 1, 3])
    metadata["tokenizer.ggml.merges"] = .strings(["a b"])
    change(&metadata)
    return try Tokenizer(metadata: metadata)
  }

  @Test func theSmallestGGUFIsAccepted() throws {
    #expect(try gguf { _ in }.encode("aba<s>") == [2, 0, 3])
    #expect(try gguf { $0["tokenizer.ggml.token_type"] = nil }.encode("ab") == [2])
  }

  @Test(arguments: ["model", "tokens", "merges", "pre"]) func aMissingKeyIsNamed(_ key: String) {
    #expect {
      try gguf { $0["tokenizer.ggml." + key] = nil }
    } throws: {
      ($0 as? InputError)?.code == .missing && ($0 as? InputError)?.subject == "tokenizer.ggml." + key
    }
  }

  @Test(
    arguments: [
      ("model", .string("wpm"), .unsupported), ("pre", .string("nonsense"), .unsupported),
      ("model", .uint32(1), .type), ("tokens", .int32s([1]), .type), ("merges", .string("a b"), .type),
      ("merges", .strings(["ab"]), .type), ("merges", .strings(["a c"]), .missing),
      ("token_type", .int32s([1]), .shape), ("token_type", .strings([]), .type),
      ("tokens", .strings(["a", "b", "a", "c"]), .duplicate), ("bos_token_id", .uint32(4), .bounds),
      ("bos_token_id", .int32(-1), .bounds), ("eos_token_id", .string("x"), .bounds),
    ] as [(String, MetadataValue, InputError.Code)])
  func aBrokenKeyIsRefused(_ key: String, _ value: MetadataValue, _ code: InputError.Code) {
    #expect {
      try gguf { $0["tokenizer.ggml." + key] = value }
    } throws: {
      ($0 as? InputError)?.code == code
    }
  }
}

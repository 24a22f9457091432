import Bytes

extension Tokenizer {
  /// The tokenizer that a Hugging Face `tokenizer.json` describes: BPE over bytes or, with byte fallback, over characters.
  ///
  /// What changes the ids in a way that is not known here is refused by name (`UNSUPPORTED`), never left out.
  init(json: JSONValue, _ sources: TokenizerSources) throws(InputError) {
    let model = try json.required("model")
    if let fallback = model.optional("byte_fallback"), try fallback.bool("byte_fallback") {
      try self.init(characterPairs: json, model, sources)
    } else {
      try self.init(bytePairs: json, model, sources)
    }
    statedPrefixSpace = try sources.configuration?.optional("add_prefix_space")?.bool("add_prefix_space")
    chatTemplates = try Tokenizer.chatTemplates(sources)
  }

  private init(bytePairs json: JSONValue, _ model: JSONValue, _ sources: TokenizerSources) throws(InputError) {
    if let normalizer = json.optional("normalizer") { try Tokenizer.requireNoNormalizer(normalizer) }
    let preTokenizer = try PreTokenizerReader.read(json.optional("pre_tokenizer"), in: json)
    let builder = try BytePairBuilder(model, addedTokens: json.optional("added_tokens"))
    self.init(
      vocabulary: builder.vocabulary, addedTokens: builder.added,
      model: .bytePairs(builder.model, preTokenizer.rules),
      special: try SpecialTokensReader.read(sources, builder.added))
    addsPrefixSpace = preTokenizer.addsPrefixSpace
  }

  private init(characterPairs json: JSONValue, _ model: JSONValue, _ sources: TokenizerSources) throws(InputError) {
    let reader = try SpaceRulesReader.read(json)
    let builder = try BytePairBuilder(
      model, addedTokens: json.optional("added_tokens"), overCharacters: true)
    var pairs = try builder.characterPairs(model)
    pairs.splitsEverySpace = reader.splitsEverySpace
    var added = builder.added
    var normalized: [AddedToken] = []
    if reader.isNormalizer {
      // These are looked for in the rewritten text, themselves rewritten.
      normalized = added.filter(\.isNormalized).map { reader.rewritten($0) }
      for index in added.indices where added[index].isNormalized { added[index].isMatched = false }
    }
    self.init(
      vocabulary: builder.vocabulary, addedTokens: added, model: .characterPairs(pairs),
      special: try SpecialTokensReader.read(sources, builder.added))
    spaces = reader.rules
    userDefined = AddedTokenMatcher(normalized)
    pieces = builder.attributes(added, pairs)
  }

  private static func requireNoNormalizer(_ normalizer: JSONValue) throws(InputError) {
    let type = try normalizer.required("type").string("normalizer")
    if type == "Sequence" {
      for part in try normalizer.required("normalizers").elements("normalizers") { try requireNoNormalizer(part) }
      return
    }
    throw InputError(
      .unsupported, "the normalizer \(type) is not supported", file: normalizer.file, subject: "normalizer",
      offset: normalizer.offset, remedy: "byte-level BPE without a normalizer is")
  }

  /// tokenizer_config.json wins over the files beside it, as llama.cpp 0c1e57098 (gguf-py/gguf/vocab.py) has it.
  static func chatTemplates(_ sources: TokenizerSources) throws(InputError) -> [ChatTemplate] {
    guard let stated = sources.configuration?.optional("chat_template") else {
      return try limited(sources.chatTemplates)
    }
    if stated.kind == .string { return try limited([ChatTemplate(text: stated.string())]) }
    var templates: [ChatTemplate] = []
    for choice in try stated.elements("chat_template") {
      guard let name = try choice.optional("name")?.string("name"),
        let text = try choice.optional("template")?.string("template")
      else { continue }
      templates.append(ChatTemplate(name: name, text: text))
    }
    return try limited(templates)
  }

  private static func limited(_ templates: [ChatTemplate]) throws(InputError) -> [ChatTemplate] {
    for template in templates where template.text.utf8.count > Limits.templateBytes {
      throw InputError(
        .limit, "a chat template of \(template.text.utf8.count) bytes, at most \(Limits.templateBytes) are read",
        subject: "chat_template")
    }
    return templates
  }
}

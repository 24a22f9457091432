import Bytes

extension Tokenizer {
  /// The tokenizer that a Hugging Face `tokenizer.json` describes.
  ///
  /// Byte-level BPE only. What changes the ids in a way that is not known here is refused by name (`UNSUPPORTED`), never
  /// left out.
  public init(_ sources: TokenizerSources) throws(InputError) {
    let json = sources.tokenizer
    if let normalizer = json.optional("normalizer") { try Tokenizer.requireNoNormalizer(normalizer) }
    let preTokenizer = try PreTokenizerReader.read(json.optional("pre_tokenizer"), in: json)
    let builder = try BytePairBuilder(json.required("model"), addedTokens: json.optional("added_tokens"))
    let special = try SpecialTokensReader.read(sources, builder.added)

    self.init(
      vocabulary: builder.vocabulary, addedTokens: builder.added, model: builder.model,
      preTokenizer: preTokenizer.rules,
      special: special)
    addsPrefixSpace = preTokenizer.addsPrefixSpace
    statedPrefixSpace = try sources.configuration?.optional("add_prefix_space")?.bool("add_prefix_space")
    chatTemplates = try Tokenizer.chatTemplates(sources)
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
  private static func chatTemplates(_ sources: TokenizerSources) throws(InputError) -> [ChatTemplate] {
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

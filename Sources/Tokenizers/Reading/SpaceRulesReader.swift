import Bytes

/// Reads how a tokenizer.json with byte fallback writes spaces: by the normalizer (Llama 2 as first published) or by the
/// pre-tokenizer `Metaspace`.
struct SpaceRulesReader {
  var rules = SpaceRules()
  var splitsEverySpace = false
  /// The normalizer does it, so that it is done before normalized added tokens are looked for.
  var isNormalizer = false

  static func read(_ json: JSONValue) throws(InputError) -> SpaceRulesReader {
    var reader = SpaceRulesReader()
    reader.rules.prefix = .never
    reader.rules.escapes = false
    if let normalizer = json.optional("normalizer") { try reader.readNormalizer(normalizer) }
    if let preTokenizer = json.optional("pre_tokenizer") { try reader.readPreTokenizer(preTokenizer) }
    return reader
  }

  /// The token with the text that the normalizer makes of it.
  func rewritten(_ token: AddedToken) -> AddedToken {
    var token = token
    let text = Array(token.content.utf8)
    let rewritten = rules.apply(text.span, 0, text.count, isFirst: true, userDefined: AddedTokenMatcher([]))
    token.content = String(decoding: rewritten, as: UTF8.self)
    return token
  }

  private mutating func readNormalizer(_ json: JSONValue) throws(InputError) {
    var steps = [json]
    if try json.required("type").string("normalizer") == "Sequence" {
      steps = Array(try json.required("normalizers").elements("normalizers"))
    }
    for step in steps {
      switch try step.required("type").string("normalizer") {
      case "Prepend" where !rules.escapes && rules.prefix == .never:
        guard try step.required("prepend").string() == "\u{2581}" else { throw unsupported("Prepend", step) }
        rules.prefix = .always
      case "Replace" where !rules.escapes:
        guard try step.required("pattern").optional("String")?.string() == " ",
          try step.required("content").string() == "\u{2581}"
        else { throw unsupported("Replace", step) }
        rules.escapes = true
      case let type: throw unsupported(type, step)
      }
    }
    isNormalizer = !steps.isEmpty
    guard steps.isEmpty || rules.escapes else { throw unsupported("spaces as they are", json) }
  }

  private mutating func readPreTokenizer(_ json: JSONValue) throws(InputError) {
    guard try json.required("type").string("pre_tokenizer") == "Metaspace", !isNormalizer,
      try json.required("replacement").string() == "\u{2581}"
    else { throw unsupported(try json.required("type").string(), json) }
    let prefixes = try json.optional("add_prefix_space")?.bool("add_prefix_space") ?? true
    switch try json.optional("prepend_scheme")?.string("prepend_scheme") ?? (prefixes ? "always" : "never") {
    case "always": rules.prefix = .always
    case "first": rules.prefix = .first
    case "never": rules.prefix = .never
    case let scheme: throw unsupported("prepend_scheme \(scheme)", json)
    }
    rules.escapes = true
    rules.skipsPrefixBeforeSpace = true
    splitsEverySpace = try json.optional("split")?.bool("split") ?? true
  }

  private func unsupported(_ what: String, _ json: JSONValue) -> InputError {
    InputError(
      .unsupported, "in a vocabulary with byte fallback this is not supported: \(what)", file: json.file,
      subject: isNormalizer ? "normalizer" : "pre_tokenizer", offset: json.offset)
  }
}

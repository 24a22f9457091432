import Bytes
import Tensors

extension Tokenizer {
  /// The tokenizer in the metadata of a GGUF (`tokenizer.ggml.*`), of the `gpt2` kind.
  ///
  /// - Throws: `MISSING` and `TYPE` naming the key, `UNSUPPORTED` for another kind of model or an unknown `pre`, `DUP` for
  ///   two tokens of one text.
  public init(metadata: Metadata) throws(InputError) {
    func required(_ name: String) throws(InputError) -> MetadataValue {
      guard let value = metadata["tokenizer.ggml." + name] else {
        throw InputError(.missing, "the model holds no such key", subject: "tokenizer.ggml." + name)
      }
      return value
    }
    func unsupported(_ name: String, _ problem: String) -> InputError {
      InputError(.unsupported, problem, subject: "tokenizer.ggml." + name)
    }
    func mismatch(_ name: String, _ expected: String) -> InputError {
      InputError(.type, "\(expected) expected", subject: "tokenizer.ggml." + name)
    }

    guard let kind = try required("model").string else { throw mismatch("model", "a string") }
    guard kind == "gpt2" else { throw unsupported("model", "tokenizers of the kind \"\(kind)\" are not supported") }
    let pre = try required("pre").string ?? "default"
    guard let named = PreTokenizer.named(pre) else {
      throw unsupported("pre", "the pre-tokenizer \"\(pre)\" is not known")
    }
    guard let tokens = try required("tokens").strings else { throw mismatch("tokens", "an array of strings") }
    guard let merges = try required("merges").strings else { throw mismatch("merges", "an array of strings") }
    var types: [Int32] = []
    if let value = metadata["tokenizer.ggml.token_type"] {
      guard case .int32s(let stated) = value else { throw mismatch("token_type", "an array of int32") }
      guard stated.count >= tokens.count else {
        throw InputError(
          .shape, "\(stated.count) types for \(tokens.count) tokens", subject: "tokenizer.ggml.token_type")
      }
      types = stated
    }
    guard tokens.count <= Limits.tokens, merges.count <= Limits.merges else {
      throw InputError(
        .limit, "\(tokens.count) tokens and \(merges.count) merges, at most \(Limits.tokens) and \(Limits.merges)",
        subject: "tokenizer.ggml.tokens")
    }

    let builder = try BytePairBuilder(tokens: tokens, types: types, merges: merges, ignoresMerges: named.ignoresMerges)
    let special = try Tokenizer.special(metadata, named, tokens.count)
    self.init(
      vocabulary: builder.vocabulary, addedTokens: builder.added, model: builder.model,
      preTokenizer: named.rules, special: special)
    statedPre = named.name
    statedPrefixSpace = metadata["tokenizer.ggml.add_space_prefix"]?.bool
    if let text = metadata["tokenizer.chat_template"]?.string { chatTemplates = [ChatTemplate(text: text)] }
  }

  private static func special(
    _ metadata: Metadata, _ named: PreTokenizer.Named, _ count: Int
  ) throws(InputError) -> SpecialTokens {
    var special = SpecialTokens()
    for role in SpecialTokens.Role.allCases {
      if let value = metadata[role.key] {
        guard let id = value.integer, id >= 0, id < count else {
          throw InputError(.bounds, "a token id below \(count) expected", subject: role.key)
        }
        special.assign(role, Int32(id))
      }
      if let key = role.addKey, let flag = metadata[key]?.bool { special.setAdded(role, flag) }
    }
    if special.isAdded(.bos) ?? named.addsBOS, let id = special.id(of: .bos) { special.prefix = [id] }
    if special.isAdded(.eos) ?? false, let id = special.id(of: .eos) { special.suffix = [id] }
    return special
  }
}

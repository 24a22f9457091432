import Bytes
import Tensors

/// `tokenizer.ggml.token_type`, the numbers of ggml's `llama_token_type`.
enum TokenType: Int32, Sendable {
  case normal = 1, unknown, control, userDefined, unused, byte
}

extension Tokenizer {
  /// The metadata with which llama.cpp tokenizes as this does: what `convert_hf_to_gguf.py` writes, in its order.
  ///
  /// - Parameters:
  ///   - vocabularySize: rows of the token embedding; ids without a token become `[PAD{id}]`, unused.
  ///   - namesTurnEnds: also name the tokens that end a turn and a message, which the converter leaves for a reader to
  ///     guess by their text.
  /// - Throws: `SHAPE` when there are more tokens than rows, `UNSUPPORTED` when no `pre` of llama.cpp cuts text so, or for
  ///   a unigram vocabulary.
  public func ggufMetadata(vocabularySize: Int, namesTurnEnds: Bool = false) throws(InputError) -> Metadata {
    guard self.vocabularySize <= vocabularySize else {
      throw InputError(
        .shape, "the tokenizer has ids up to \(self.vocabularySize - 1), the embedding \(vocabularySize) rows",
        subject: "tokenizer.ggml.tokens", remedy: "use the tokenizer of this checkpoint")
    }
    var metadata = Metadata()
    // A reader of pieces puts a space before a text unless told not to; the converter forgets to tell it.
    let neverPrefixes = pieces != nil && spaces.prefix == .never
    metadata["tokenizer.ggml.add_space_prefix"] = (statedPrefixSpace ?? (neverPrefixes ? false : nil)).map { .bool($0) }
    if let pieces {
      if case .unigram = model {
        throw InputError(
          .unsupported,
          "a GGUF of the llama family cannot hold a unigram vocabulary: its pieces would be merged as BPE",
          subject: "tokenizer.ggml.model")
      }
      writePieces(pieces, vocabularySize, into: &metadata)
    } else {
      try writeBytePairs(vocabularySize, into: &metadata)
    }
    for item in special.ids where item.id < vocabularySize { metadata[item.role.key] = .uint32(UInt32(item.id)) }
    for item in special.additions {
      if let key = item.role.addKey { metadata[key] = .bool(item.isAdded) }
    }
    writeTemplates(into: &metadata)
    if namesTurnEnds { writeTurnEnds(into: &metadata) }
    writeSizeRules(vocabularySize, into: &metadata)
    return metadata
  }

  private func writeTurnEnds(into metadata: inout Metadata) {
    for (role, texts) in [(SpecialTokens.Role.eot, SpecialTokens.turnEnds), (.eom, SpecialTokens.messageEnds)]
    where special.id(of: role) == nil {
      for text in texts {
        if let token = addedTokens.first(where: { ExactString($0.content) == text }) {
          metadata[role.key] = .uint32(UInt32(token.id))
          break
        }
      }
    }
  }

  /// What upstream adds for the Llama family by the size of the vocabulary alone.
  private func writeSizeRules(_ size: Int, into metadata: inout Metadata) {
    if size == 32016 && pieces != nil {  // Code Llama: the tokens for filling in the middle
      for (offset, role) in [SpecialTokens.Role.prefix, .suffix, .middle, .eot].enumerated() {
        metadata[role.key] = .uint32(UInt32(32007 + offset))
      }
    }
    if size == 49152 && special.isAdded(.bos) == nil {  // Granite small, SmolLM
      metadata["tokenizer.ggml.add_bos_token"] = .bool(false)
    }
  }

  private func writeBytePairs(_ count: Int, into metadata: inout Metadata) throws(InputError) {
    guard case .bytePairs(let model, let preTokenizer) = model,
      let pre = statedPre ?? preTokenizer.name(ignoresMerges: model.ignoresMerges)
    else {
      throw InputError(.unsupported, "llama.cpp has no name for this pre-tokenizer", subject: "tokenizer.ggml.pre")
    }
    metadata["tokenizer.ggml.model"] = .string("gpt2")
    metadata["tokenizer.ggml.pre"] = .string(pre)
    writeTokens(count, into: &metadata)
    let merges = texts(of: model.merges)
    if !merges.isEmpty { metadata["tokenizer.ggml.merges"] = .strings(merges) }
  }

  private func writePieces(_ pieces: PieceAttributes, _ count: Int, into metadata: inout Metadata) {
    var tokens = (0..<count).map { "[PAD\($0)]" }
    var scores = [Float](repeating: -10000, count: count)
    var types = [Int32](repeating: TokenType.unused.rawValue, count: count)
    for id in 0..<min(pieces.types.count, count) {
      guard vocabulary.forms[id] != .absent else { continue }
      tokens[id] = String(decoding: vocabulary.bytes(of: id), as: UTF8.self)
      scores[id] = pieces.scores[id]
      types[id] = pieces.types[id].rawValue
    }
    for token in pieces.overrides where token.id < count {
      tokens[Int(token.id)] = token.type == .userDefined ? token.text.replacing("\u{2581}") : token.text
      scores[Int(token.id)] = -1000
      types[Int(token.id)] = token.type.rawValue
    }
    metadata["tokenizer.ggml.model"] = .string("llama")
    metadata["tokenizer.ggml.pre"] = .string("default")
    metadata["tokenizer.ggml.tokens"] = .strings(tokens)
    metadata["tokenizer.ggml.scores"] = .float32s(scores)
    metadata["tokenizer.ggml.token_type"] = .int32s(types)
  }

  private func writeTokens(_ count: Int, into metadata: inout Metadata) {
    var tokens: [String] = []
    var types: [Int32] = []
    tokens.reserveCapacity(count)
    types.reserveCapacity(count)
    for id in 0..<count {
      let (text, type) = tokenAndType(id)
      tokens.append(text)
      types.append(type.rawValue)
    }
    metadata["tokenizer.ggml.tokens"] = .strings(tokens)
    metadata["tokenizer.ggml.token_type"] = .int32s(types)
  }

  private func tokenAndType(_ id: Int) -> (String, TokenType) {
    guard let text = text(of: id) else { return ("[PAD\(id)]", .unused) }
    guard let added = added(Int32(id)) else { return (text, .normal) }
    if added.isSpecial || special.ids.contains(where: { $0.id == added.id }) || Tokenizer.looksSpecial(text) {
      return (text, .control)
    }
    return (text.replacing("\u{2581}"), .userDefined)
  }

  /// Some models forget to mark their control tokens (llama.cpp 0c1e57098, conversion/base.py).
  static func looksSpecial(_ text: String) -> Bool {
    func between(_ first: String, _ last: String) -> Bool {
      text.utf8.starts(with: first.utf8) && text.utf8.reversed().starts(with: last.utf8.reversed())
    }
    return ["<pad>", "<mask>", "<2mass>", "[@BOS@]"].contains(text) || between("<|", "|>")
      || between("<\u{FF5C}", "\u{FF5C}>") || between("<unused", ">")
  }

  private func texts(of merges: MergeTable) -> [String] {
    merges.ordered.map { merge in
      spaceless(text(of: Int(merge.left)) ?? "") + " " + spaceless(text(of: Int(merge.right)) ?? "")
    }
  }

  /// A space inside a part would end it: written as the character 256 above, as upstream does.
  private func spaceless(_ text: String) -> String {
    guard text.utf8.contains(0x20) else { return text }
    var out = ""
    for scalar in text.unicodeScalars { out.unicodeScalars.append(scalar == " " ? "\u{120}" : scalar) }
    return out
  }

  private func writeTemplates(into metadata: inout Metadata) {
    var names: [String] = []
    for template in chatTemplates {
      guard template.name != "default" else { continue }
      var name = ""
      for scalar in template.name.unicodeScalars {
        let isWord = scalar.isASCII && (scalar.properties.isAlphabetic || scalar.properties.numericType != nil)
        name.unicodeScalars.append(isWord ? scalar : "_")
      }
      guard !name.isEmpty else { continue }
      metadata["tokenizer.chat_template." + name] = .string(template.text)
      names.append(name)
    }
    if !names.isEmpty { metadata["tokenizer.chat_templates"] = .strings(names) }
    if let standard = chatTemplates.first(where: { $0.name == "default" }) {
      metadata["tokenizer.chat_template"] = .string(standard.text)
    }
  }
}

extension String {
  /// Every `mark` as a space, scalar by scalar.
  fileprivate func replacing(_ mark: Unicode.Scalar) -> String {
    guard unicodeScalars.contains(mark) else { return self }
    var out = ""
    for scalar in unicodeScalars { out.unicodeScalars.append(scalar == mark ? " " : scalar) }
    return out
  }
}

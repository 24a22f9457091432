import Bytes

/// Finds the tokens with a part to play, by the rules of llama.cpp 0c1e57098 (gguf-py/gguf/vocab.py, `SpecialVocab`): the
/// contents that tokenizer_config.json names, looked up among the added tokens; then the ids in config.json; whether one is
/// added from the post-processor, then from tokenizer_config.json.
///
/// One difference: a name written as an object is compared by its content, which upstream forgets when it reads templates.
struct SpecialTokensReader {
  private typealias Role = SpecialTokens.Role

  private var special = SpecialTokens()
  private var names: [SpecialTokens.Role: String] = [:]
  private var roles: [SpecialTokens.Role] = [.bos, .eos, .unk, .sep, .pad, .cls, .mask]
  /// The template's own ids, where there is a template.
  private var hasTemplate = false

  /// - Parameters:
  ///   - added: the tokens among which names are looked up.
  ///   - addsBOSByDefault: whether a text begins with the token where nothing says so.
  static func read(
    _ sources: TokenizerSources, _ added: [AddedToken], addsBOSByDefault: Bool = false
  ) throws(InputError) -> SpecialTokens {
    var reader = SpecialTokensReader()
    try reader.readNames(sources.configuration)
    if let processor = sources.tokenizer?.optional("post_processor") { try reader.readProcessor(processor) }
    try reader.readConfiguration(sources.configuration, added)
    reader.readModelConfiguration(sources.modelConfiguration)
    try reader.readMap(sources.specialTokensMap, added)
    if !reader.hasTemplate { reader.surround(addsBOSByDefault) }
    return reader.special
  }

  private mutating func readNames(_ configuration: JSONValue?) throws(InputError) {
    for role in roles {
      if let name = try SpecialTokensReader.name(configuration?.optional("\(role.rawValue)_token")) {
        names[role] = name
      }
    }
    if names[.bos] == nil { names[.bos] = names[.cls] }
    if names[.eos] == nil { names[.eos] = names[.sep] }
  }

  /// A token's text, written as a string or as an object with its `content`.
  private static func name(_ json: JSONValue?) throws(InputError) -> String? {
    guard let json else { return nil }
    switch json.kind {
    case .string: return try json.string()
    case .object: return try json.optional("content")?.string("content")
    default: return nil
    }
  }

  // MARK: Post-processor

  private mutating func readProcessor(_ json: JSONValue) throws(InputError) {
    switch try json.required("type").string("post_processor") {
    case "Sequence":
      for part in try json.required("processors").elements("processors") { try readProcessor(part) }
    case "ByteLevel":
      special.setAddedByDefault(.bos, false)
      special.setAddedByDefault(.eos, false)
    case "TemplateProcessing": try readTemplate(json)
    case let type:
      throw InputError(
        .unsupported, "the post-processor \(type) is not supported", file: json.file, subject: "post_processor",
        offset: json.offset)
    }
  }

  private mutating func readTemplate(_ json: JSONValue) throws(InputError) {
    let single = Array(try json.required("single").elements("single"))
    let places = single.indices.filter { single[$0].optional("Sequence") != nil }
    guard !hasTemplate, places.count == 1, let place = places.first else {
      throw InputError(
        .unsupported, "a template that does not hold the text once", file: json.file, subject: "post_processor",
        offset: json.offset)
    }
    hasTemplate = true
    special.prefix = try ids(of: single[..<place], json)
    special.suffix = try ids(of: single[(place + 1)...], json)

    guard single.count > 1 else { return }
    let first = try tokenName(single[0])
    let last = try tokenName(single[single.count - 1])
    if let first {
      if names[.bos] == nil { names[.bos] = first }
      special.setAdded(.bos, first == names[.bos] || first == names[.cls])
    }
    if let last {
      if let eos = names[.eos], eos != last, !roles.contains(.eot) {
        roles.append(.eot)  // the former end of text is at least an end of turn
        names[.eot] = eos
      }
      names[.eos] = last
      special.setAdded(.eos, true)
    }
    if let pair = json.optional("pair") { try readPair(Array(pair.elements("pair")), first, last) }
  }

  /// Only for whether a separator is added between two texts.
  private mutating func readPair(_ pair: [JSONValue], _ first: String?, _ last: String?) throws(InputError) {
    var middle = pair[...]
    if let first, let item = middle.first, try tokenName(item) == first { middle.removeFirst() }
    if let last, let item = middle.last, try tokenName(item) == last { middle.removeLast() }
    guard middle.count > 2, let a = middle.first, let b = middle.last,
      try a.optional("Sequence")?.optional("id")?.string("id") == "A",
      try b.optional("Sequence")?.optional("id")?.string("id") == "B"
    else { return }
    let between = middle.dropFirst().dropLast()
    var isAdded = false
    for (index, item) in between.enumerated() where index < 2 {
      guard let name = try tokenName(item), name == names[.sep] || name == names[.eos] else { continue }
      if index == 0 ? last == nil : between.count == 2 { isAdded = true }
    }
    special.setAdded(.sep, isAdded)
    if isAdded && names[.sep] == nil { names[.sep] = names[.eos] }
  }

  private func tokenName(_ item: JSONValue) throws(InputError) -> String? {
    try item.optional("SpecialToken")?.required("id").string("id")
  }

  private func ids(of items: ArraySlice<JSONValue>, _ json: JSONValue) throws(InputError) -> [Int32] {
    var ids: [Int32] = []
    for item in items {
      guard let name = try tokenName(item) else { throw item.mismatch("a special token", "single") }
      let token = try json.required("special_tokens").required(name)
      for id in try token.required("ids").elements("ids") {
        ids.append(Int32(try id.int(in: 0...Limits.tokens - 1, "ids")))
      }
    }
    return ids
  }

  // MARK: Configurations

  private mutating func readConfiguration(_ json: JSONValue?, _ added: [AddedToken]) throws(InputError) {
    for role in roles {
      if let flag = json?.optional("add_\(role.rawValue)_token"), flag.kind == .bool {
        special.setAddedByDefault(role, try flag.bool())
      }
      if let name = names[role], json != nil { assign(role, name, added) }
    }
  }

  private mutating func readModelConfiguration(_ json: JSONValue?) {
    for role in roles {
      let id = json?.optional("\(role.rawValue)_token_id")
      if let id, let value = try? id.int(in: 0...Limits.tokens - 1) { special.assign(role, Int32(value)) }
    }
  }

  private mutating func readMap(_ json: JSONValue?, _ added: [AddedToken]) throws(InputError) {
    for role in roles {
      if let name = try SpecialTokensReader.name(json?.optional("\(role.rawValue)_token")) { assign(role, name, added) }
    }
  }

  private mutating func assign(_ role: SpecialTokens.Role, _ name: String, _ added: [AddedToken]) {
    if let token = added.first(where: { $0.content.utf8.elementsEqual(name.utf8) }) { special.assign(role, token.id) }
  }

  /// Without a template, what tokenizer_config.json says is put around the text.
  private mutating func surround(_ addsBOS: Bool) {
    if special.isAdded(.bos) ?? addsBOS, let id = special.id(of: .bos) { special.prefix = [id] }
    if special.isAdded(.eos) == true, let id = special.id(of: .eos) { special.suffix = [id] }
  }
}

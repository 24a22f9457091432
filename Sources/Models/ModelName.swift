/// What the name of a model's folder says about the model, by the habits of Hugging Face: `Llama-3.2-1B-Instruct` is
/// version 3.2 of `Llama`, size 1B, finetune `Instruct`.
///
/// The rules are those of gguf-py's `Metadata.get_model_id_components` (llama.cpp 0c1e57098), so that `general.*` keys
/// agree with files made by the incumbent.
public struct ModelName: Hashable, Sendable {
  /// The name without its organization, as given.
  public var full: String
  public var organization: String?
  public var basename: String?
  public var finetune: String?
  public var version: String?
  public var sizeLabel: String?

  private enum Kind { case basename, size, finetune, version, type }

  /// - Parameters:
  ///   - id: a folder name, or `organization/name`.
  ///   - parameterCount: elements of all tensors; tells a size from a context length. 0 when unknown.
  public init(_ id: String, parameterCount: Int) {
    full = id
    guard !id.utf8.contains(UInt8(ascii: " ")) else { return }  // a sentence, not an identifier
    if let slash = id.firstIndex(of: "/") {
      full = String(id[id.index(after: slash)...])
      if id.first != "." { organization = String(id[..<slash]) }
    }
    var parts = full.split(separator: "-").map(String.init)
    var kinds = parts.indices.map { ModelName.classify(&parts[$0], isFirst: $0 == 0, parameterCount) }

    // A size in words ("small") counts only where none is in figures.
    let sizes = parts.indices.filter { kinds[$0].contains(.size) }
    if sizes.contains(where: { parts[$0].unicodeScalars.contains { $0.properties.numericType == .decimal } }) {
      for index in sizes where parts[index].unicodeScalars.allSatisfy(\.properties.isAlphabetic) {
        kinds[index].remove(.size)
      }
    }
    var atStart = true
    for index in parts.indices {
      let startsWithLetter = parts[index].unicodeScalars.first!.properties.isAlphabetic
      if atStart, kinds[index].isEmpty && startsWithLetter || kinds[index].contains(.version) {
        kinds[index].insert(.basename)
      } else {
        atStart = false
        if kinds[index].isEmpty { kinds[index].insert(.finetune) }
      }
    }
    for index in parts.indices.reversed() {
      guard kinds[index].contains(.basename), kinds[index].count > 1 else { break }
      kinds[index].remove(.basename)
    }

    func joined(_ choose: (Set<Kind>) -> Bool, unique: Bool = false) -> String? {
      var chosen: [String] = []
      for index in parts.indices where choose(kinds[index]) && !(unique && chosen.contains(parts[index])) {
        chosen.append(parts[index])
      }
      return chosen.isEmpty ? nil : chosen.joined(separator: "-")
    }
    basename = joined { $0.contains(.basename) }
    sizeLabel = joined({ $0.contains(.size) }, unique: true)
    finetune = joined { $0.contains(.finetune) }
    version = joined { $0.contains(.version) && !$0.contains(.basename) }
    if sizeLabel == nil && finetune == nil && version == nil { basename = nil }  // too ambiguous
  }

  /// What one part between hyphens is; normalizes its spelling.
  private static func classify(_ part: inout String, isFirst: Bool, _ parameterCount: Int) -> Set<Kind> {
    if part.isVersion { return [.version] }
    if part.isQuantType {
      part = part.uppercased()
      return [.type]
    }
    if isFirst { return [] }
    if part.isSize {
      part = part.normalizedSize
      if parameterCount > 0, let named = part.sizeInElements,
        (named - Double(parameterCount)).magnitude > Double(7 * parameterCount / 8)
      {
        part = part.dropLast() + part.suffix(1).lowercased()  // far from the model's size: a context length
        return [.finetune]
      }
      return [.size]
    }
    return ["chat", "instruct", "vision", "lora"].contains(part.lowercased()) ? [.finetune] : []
  }

  /// The name for people: hyphens become spaces, words in lower case are capitalized unless they are versions or sizes.
  public static func title(_ id: String) -> String {
    id.split { $0 == "-" || $0.isWhitespace }.map { word in
      let scalars = word.unicodeScalars
      let isLower =
        scalars.contains(where: \.properties.isLowercase) && !scalars.contains(where: \.properties.isUppercase)
      let isNumeric = scalars.first!.properties.numericType == .decimal
      guard isLower, !isNumeric, !(word.first == "v" && String(word).isVersion) else { return String(word) }
      var previousIsCased = false
      var out = ""
      for character in word {
        out += previousIsCased ? String(character) : character.uppercased()
        previousIsCased = character.isCased
      }
      return out
    }.joined(separator: " ")
  }

  /// `6.8M`, `135M`, `1.1B`: at least two figures.
  public static func sizeLabel(elements: Int) -> String {
    let (value, unit): (Double, String) =
      switch Double(elements) {
      case let count where count > 1e12: (count * 1e-12, "T")
      case let count where count > 1e9: (count * 1e-9, "B")
      case let count where count > 1e6: (count * 1e-6, "M")
      case let count: (count * 1e-3, "K")
      }
    let whole = value.rounded(.toNearestOrEven)
    let digits = max(0, 2 - (whole == 0 ? 0 : String(Int(whole)).count))
    let scale: Double = digits == 2 ? 100 : digits == 1 ? 10 : 1
    // The decimal nearest to the binary value itself: a product that looks like a tie is decided by its rounding error.
    let product = value * scale
    var figures = product.rounded(.toNearestOrEven)
    let error = (-product).addingProduct(value, scale)
    if (product - product.rounded(.down)) == 0.5, error != 0 { figures = product.rounded(error > 0 ? .up : .down) }
    let count = Int(figures)
    guard digits > 0 else { return "\(count)\(unit)" }
    let fraction = String(count % Int(scale))
    return "\(count / Int(scale)).\(String(repeating: "0", count: digits - fraction.count))\(fraction)\(unit)"
  }
}

// The patterns of the names, matched by hand on lower-cased ASCII; other text matches none.
extension String {
  private var folded: [UInt8] { lowercased().utf8.map { $0 } }

  /// `v2`, `3.1`, `iter3`, `1.0.2`.
  fileprivate var isVersion: Bool {
    var rest = folded[...]
    if rest.starts(with: "iter".utf8) {
      rest = rest.dropFirst(4)
    } else if rest.first == 0x76 {
      rest = rest.dropFirst()
    }
    let numbers = rest.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    return numbers.allSatisfy { !$0.isEmpty && $0.allSatisfy(\.isDigit) }
  }

  /// `q4_k_m`, `iq2_xs`, `fp16`, `bf16`, `f32`.
  fileprivate var isQuantType: Bool {
    var rest = folded[...]
    if rest.starts(with: "iq".utf8) || rest.starts(with: "q".utf8) {
      rest = rest.drop { $0 == UInt8(ascii: "i") }.dropFirst()
      guard let digit = rest.first, digit.isDigit else { return false }
      rest = rest.dropFirst()
      // Repeated "_x" where x is a word character, so that "_k_m" and "__" match and "_km" does not.
      guard rest.count % 2 == 0 else { return false }
      return rest.enumerated().allSatisfy { $0.offset % 2 == 0 ? $0.element == 0x5F : $0.element.isWord }
    }
    if rest.first == UInt8(ascii: "b") { rest = rest.dropFirst() }
    guard rest.first == UInt8(ascii: "f") else { return false }
    rest = rest.dropFirst()
    if rest.first == UInt8(ascii: "p") { rest = rest.dropFirst() }
    return rest.elementsEqual("16".utf8) || rest.elementsEqual("32".utf8)
  }

  /// `8B`, `8x7B`, `1.5B`, `1_5b`, `7b1`, `a22b`, `360M`, or a word.
  fileprivate var isSize: Bool {
    let text = folded
    if ["small", "mini", "medium", "large", "xl", "xxl"].contains(where: { $0.utf8.elementsEqual(text) }) {
      return true
    }
    var rest = text[...]
    func number() -> Bool {
      let digits = rest.prefix(while: \.isDigit)
      rest = rest.dropFirst(digits.count)
      return !digits.isEmpty
    }
    let whole = rest
    if rest.first == UInt8(ascii: "a") {
      rest = rest.dropFirst()
    } else if number(), rest.first == UInt8(ascii: "x") {
      rest = rest.dropFirst()
    } else {
      rest = whole
    }
    guard number() else { return false }
    if let mark = rest.first, mark == UInt8(ascii: ".") || mark == UInt8(ascii: "_") {
      rest = rest.dropFirst()
      guard number() else { return false }
    }
    guard let unit = rest.first, "kmbt".utf8.contains(unit) else { return false }
    rest = rest.dropFirst()
    return rest.isEmpty || rest.count == 1 && rest.first!.isDigit
  }

  /// `1_5b` is `1.5B`, `7b1` is `7.1B`; words stay.
  fileprivate var normalizedSize: String {
    var bytes = utf8.map { $0 == UInt8(ascii: "_") ? UInt8(ascii: ".") : $0 }
    if bytes.last!.isDigit {
      let (unit, tenth) = (bytes[bytes.count - 2], bytes[bytes.count - 1])
      bytes.removeLast(2)
      bytes += [UInt8(ascii: "."), tenth, unit]
    }
    if bytes.count > 1, bytes[bytes.count - 2].isDigit, "kmbt".utf8.contains(bytes.last!) {
      bytes[bytes.count - 1] -= 32
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Elements that a normalized size stands for; `nil` for words, `8x7B` and `A22B`.
  fileprivate var sizeInElements: Double? {
    guard let number = Double(dropLast()), let unit = ["K", "M", "B", "T"].firstIndex(of: suffix(1)) else { return nil }
    return [1e3, 1e6, 1e9, 1e12][unit] * number
  }
}

extension UInt8 {
  fileprivate var isDigit: Bool { self >= 0x30 && self <= 0x39 }
  fileprivate var isWord: Bool { isDigit || self == 0x5F || self >= 0x61 && self <= 0x7A }
}

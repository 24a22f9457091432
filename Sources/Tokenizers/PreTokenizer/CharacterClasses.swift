/// The character classes that pre-tokenizers speak of, one byte a code point.
///
/// Frozen at Unicode 16.0, which is what the regular expressions of Hugging Face `tokenizers` 0.23 know (Oniguruma), so
/// that ids do not change with the Swift runtime; `Digits` there follows Rust's `char::is_numeric`, Unicode 17.0.
/// `Tests/PeerTests/tokens.py` compares every code point.
enum CharacterClass {
  /// `\p{L}`
  static let letter: UInt8 = 1
  /// `\p{N}`
  static let number: UInt8 = 2
  /// `\s`
  static let space: UInt8 = 4
  /// `[\r\n]`
  static let newline: UInt8 = 8
  /// `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`
  static let upper: UInt8 = 16
  /// `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`
  static let lower: UInt8 = 32
  /// Numeric for `Digits`.
  static let digit: UInt8 = 64
  /// Not the first byte of its character; the other bits are those of the first byte.
  static let continuation: UInt8 = 128

  /// Planes 0 and 1, where nearly all text lives; built once, in about 10 ms.
  static let table: [UInt8] = (0..<0x20000 as Range<UInt32>).map { Unicode.Scalar($0).map(classify) ?? 0 }

  static func classify(_ scalar: Unicode.Scalar) -> UInt8 {
    let properties = scalar.properties
    var bits: UInt8 = 0
    switch properties.generalCategory {
    case .uppercaseLetter, .titlecaseLetter: bits = letter | upper
    case .lowercaseLetter: bits = letter | lower
    case .modifierLetter, .otherLetter: bits = letter | upper | lower
    case .nonspacingMark, .spacingMark, .enclosingMark: bits = upper | lower
    case .decimalNumber, .letterNumber, .otherNumber: bits = number | digit
    default: return properties.isWhitespace ? (scalar == "\r" || scalar == "\n" ? space | newline : space) : 0
    }
    if let age = properties.age, age.major > 16 { return age.major > 17 ? 0 : bits & digit }
    if scalar.value == 0x295 { return letter | lower }  // became Lo in Unicode 17
    return bits
  }

  /// The class of every byte of `text`. A byte that is no valid UTF-8 is a character of its own, of no class.
  static func classify(_ text: Span<UInt8>) -> [UInt8] {
    var classes = [UInt8](repeating: 0, count: text.count)
    let all = self.table
    let table = all.span
    var out = classes.mutableSpan
    var index = 0
    while index < text.count {
      let byte = text[index]
      if byte < 0x80 {
        out[index] = table[Int(byte)]
        index += 1
        continue
      }
      let (value, length) = scalar(text, index)
      if length > 1 {
        let bits = value < 0x20000 ? table[Int(value)] : Unicode.Scalar(value).map { classify($0) } ?? 0
        out[index] = bits
        for next in 1..<length { out[index + next] = bits | continuation }
      }
      index += length
    }
    return classes
  }
}

extension CharacterClass {
  /// The character at `index` and its length; length 1 for a byte that begins none.
  static func scalar(_ text: Span<UInt8>, _ index: Int) -> (value: UInt32, length: Int) {
    func next(_ offset: Int) -> UInt32? {
      guard index + offset < text.count, text[index + offset] & 0xC0 == 0x80 else { return nil }
      return UInt32(text[index + offset] & 0x3F)
    }
    let lead = UInt32(text[index])
    switch lead {
    case 0xC2...0xDF:
      guard let a = next(1) else { break }
      return ((lead & 0x1F) << 6 | a, 2)
    case 0xE0...0xEF:
      guard let a = next(1), let b = next(2) else { break }
      let value = (lead & 0x0F) << 12 | a << 6 | b
      if value >= 0x800 && value & 0xF800 != 0xD800 { return (value, 3) }
    case 0xF0...0xF4:
      guard let a = next(1), let b = next(2), let c = next(3) else { break }
      let value = (lead & 0x07) << 18 | a << 12 | b << 6 | c
      if value >= 0x10000 && value <= 0x10FFFF { return (value, 4) }
    default: break
    }
    return (lead, 1)
  }
}

/// The class of every code point, for the comparison with peers.
package enum CharacterClassProbe {
  package static var all: [UInt8] {
    (0..<0x110000 as Range<UInt32>).map { value in
      guard let scalar = Unicode.Scalar(value) else { return 0 }
      return CharacterClass.classify(Array(String(scalar).utf8).span)[0]
    }
  }
}

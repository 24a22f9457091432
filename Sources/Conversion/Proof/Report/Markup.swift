/// Markup that is well formed as HTML and as XML. Whatever text comes in is escaped here, and there is no other way in
/// for it than through `text`, an attribute or `element(_:_:_:)`.
struct Markup: Sendable {
  typealias Attributes = KeyValuePairs<String, String>

  private(set) var source = ""

  /// `<name attributes>…</name>`, what is between made by `body`.
  mutating func element(_ name: String, _ attributes: Attributes = [:], _ body: (inout Markup) throws -> Void) rethrows
  {
    open(name, attributes, ending: ">")
    try body(&self)
    source += "</\(name)>"
    if Markup.standsAlone(name) { source += "\n" }
  }

  /// `<name attributes>text</name>`.
  mutating func element(_ name: String, _ attributes: Attributes, _ text: String) {
    element(name, attributes) { $0.text(text) }
  }

  /// `<name>text</name>`.
  mutating func element(_ name: String, _ text: String) { element(name, [:], text) }

  /// `<name attributes/>`, of an element that holds nothing.
  mutating func empty(_ name: String, _ attributes: Attributes = [:]) {
    open(name, attributes, ending: "/>")
  }

  /// Text between elements.
  mutating func text(_ text: String) { source += Markup.escaped(text) }

  /// The text of a `<style>`, which HTML does not unescape: it must hold none of `<`, `&` and `]]>`.
  mutating func style(_ sheet: String) {
    precondition(!sheet.utf8.contains { $0 == UInt8(ascii: "<") || $0 == UInt8(ascii: "&") })
    source += "<style>\n\(sheet)</style>\n"
  }

  mutating func add(_ other: Markup) { source += other.source }

  /// A box in which what is too wide for the page can be moved, by keys as well; `label` is read aloud.
  mutating func scrolling(_ label: String, _ body: (inout Markup) -> Void) {
    element("div", ["class": "scroll", "tabindex": "0", "role": "region", "aria-label": label], body)
  }

  private mutating func open(_ name: String, _ attributes: Attributes, ending: String) {
    source += "<\(name)"
    for (key, value) in attributes { source += " \(key)=\"\(Markup.escaped(value))\"" }
    source += ending
  }

  /// Elements that begin a line of their own on the page do so in its source.
  private static func standsAlone(_ name: String) -> Bool {
    switch name {
    case "a", "abbr", "b", "code", "em", "mark", "small", "span", "strong", "title", "desc", "tspan", "td", "th": false
    default: true
    }
  }

  /// `text` with the five characters of markup as references and every scalar that XML forbids, or that would be
  /// invisible or turn the direction of what follows, spelled `\u{..}`. Line breaks and tabs stay.
  static func escaped(_ text: String) -> String {
    text.replacingScalars { scalar in
      switch scalar {
      case "<": "&lt;"
      case ">": "&gt;"
      case "&": "&amp;"
      case "\"": "&quot;"
      case "'": "&#39;"
      case "\n", "\t": nil
      default: isShownAsNumber(scalar) ? spelled(scalar) : nil
      }
    }
  }

  static func spelled(_ scalar: Unicode.Scalar) -> String { "\\u{\(String(scalar.value, radix: 16))}" }

  /// Whether a reader could not see the scalar, or a parser of XML may not.
  static func isShownAsNumber(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: true
    default: false
    }
  }
}

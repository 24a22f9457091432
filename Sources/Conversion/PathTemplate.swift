/// A path with placeholders: `out/{name}-{type}.gguf`.
public struct PathTemplate: Sendable {
  private let parts: [Part]

  private enum Part {
    case text(String)
    case placeholder(String)
  }

  /// A brace that nothing closes stands for itself.
  public init(_ text: String) {
    var parts: [Part] = []
    var rest = text[...]
    while let open = rest.firstIndex(of: "{"), let close = rest[open...].firstIndex(of: "}") {
      parts += [.text(String(rest[..<open])), .placeholder(String(rest[rest.index(after: open)..<close]))]
      rest = rest[rest.index(after: close)...]
    }
    self.parts = parts + [.text(String(rest))]
  }

  /// Their names, in their order.
  public var placeholders: [String] {
    parts.compactMap { if case .placeholder(let name) = $0 { name } else { nil } }
  }

  /// - Parameter value: of a placeholder; asked for each in turn.
  public func filled<Failure: Error>(_ value: (String) throws(Failure) -> String) throws(Failure) -> String {
    var path = ""
    for part in parts {
      switch part {
      case .text(let text): path += text
      case .placeholder(let name): path += try value(name)
      }
    }
    return path
  }
}

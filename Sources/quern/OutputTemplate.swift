import ArgumentParser
import Bytes
import Conversion

/// The path of an output, in which `{name}` stands for the model's name and `{type}` for the type that it is quantized to:
/// `out/{name}-{type}.gguf`.
struct OutputTemplate: ExpressibleByArgument {
  private let parts: [Part]

  private enum Part {
    case text(String)
    case placeholder(String)
  }

  init(argument: String) {
    var parts: [Part] = []
    var rest = argument[...]
    while let open = rest.firstIndex(of: "{"), let close = rest[open...].firstIndex(of: "}") {
      parts += [.text(String(rest[..<open])), .placeholder(String(rest[rest.index(after: open)..<close]))]
      rest = rest[rest.index(after: close)...]
    }
    self.parts = parts + [.text(String(rest))]
  }

  private var placeholders: [String] {
    parts.compactMap { if case .placeholder(let name) = $0 { name } else { nil } }
  }

  /// - Parameters:
  ///   - types: how many the outputs are of.
  ///   - flag: which says where it was given.
  func validate(types: Int, flag: String) throws {
    if let unknown = placeholders.first(where: { $0 != "name" && $0 != "type" }) {
      throw ValidationError("\(flag) has {\(printable(unknown))}, where {name} and {type} are known.")
    }
    if types > 1, !placeholders.contains("type") {
      throw ValidationError(
        "With several types, \(flag) needs {type}, so that each has a file of its own: 'out/{name}-{type}.gguf'.")
    }
  }

  /// - Parameter name: asked for only where it is wanted.
  func path(type: String, name: @autoclosure () throws -> String) rethrows -> String {
    try parts.map { part in
      switch part {
      case .text(let text): text
      case .placeholder("name"): try name()
      case .placeholder: type
      }
    }.joined()
  }
}

/// A JSON value to be written, members in the order given.
public indirect enum JSONText: Sendable {
  case null
  case bool(Bool)
  case int(Int)
  case double(Double)
  case string(String)
  case array([JSONText])
  case object([(String, JSONText)])

  /// On one line, or with one member a line when `indented`.
  public func text(indented: Bool = false) -> String {
    var out = ""
    write(to: &out, indentation: indented ? 0 : nil)
    return out
  }

  private func write(to out: inout String, indentation: Int?) {
    switch self {
    case .null: out += "null"
    case .bool(let value): out += value ? "true" : "false"
    case .int(let value): out += "\(value)"
    // JSON has no word for infinity or NaN.
    case .double(let value): out += value.isFinite ? "\(value)" : "null"
    case .string(let value): JSONText.quote(value, to: &out)
    case .array(let values):
      JSONText.container("[", "]", values, to: &out, indentation) { $1.write(to: &$0, indentation: $2) }
    case .object(let members):
      JSONText.container("{", "}", members, to: &out, indentation) { out, member, indentation in
        JSONText.quote(member.0, to: &out)
        out += indentation == nil ? ":" : ": "
        member.1.write(to: &out, indentation: indentation)
      }
    }
  }

  private static func container<Element>(
    _ open: String, _ close: String, _ elements: [Element], to out: inout String, _ indentation: Int?,
    _ write: (inout String, Element, Int?) -> Void
  ) {
    out += open
    for (index, element) in elements.enumerated() {
      if index > 0 { out += "," }
      if let indentation { out += "\n" + String(repeating: "  ", count: indentation + 1) }
      write(&out, element, indentation.map { $0 + 1 })
    }
    if let indentation, !elements.isEmpty { out += "\n" + String(repeating: "  ", count: indentation) }
    out += close
  }

  private static func quote(_ text: String, to out: inout String) {
    out += "\""
    out += text.replacingScalars { scalar in
      switch scalar {
      case "\"": return "\\\""
      case "\\": return "\\\\"
      case "\n": return "\\n"
      case "\r": return "\\r"
      case "\t": return "\\t"
      case "\u{0}"..<"\u{20}", "\u{7F}":
        let digits = String(scalar.value, radix: 16)
        return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: return nil
      }
    }
    out += "\""
  }
}

extension String {
  /// The text with every scalar for which `replacement` has one replaced by it.
  package func replacingScalars(_ replacement: (Unicode.Scalar) -> String?) -> String {
    var out = ""
    for scalar in unicodeScalars {
      if let text = replacement(scalar) { out += text } else { out.unicodeScalars.append(scalar) }
    }
    return out
  }
}

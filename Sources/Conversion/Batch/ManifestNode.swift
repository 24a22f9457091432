import Bytes
import Yams

/// A place in a manifest: what was found there, and how to name it.
struct ManifestNode {
  let file: String
  /// Such as `models[2].path`.
  let key: String
  private let node: Node
  private let environment: @Sendable (String) -> String?

  init(
    _ node: Node, file: String, key: String, environment: @escaping @Sendable (String) -> String?
  ) {
    (self.node, self.file, self.key, self.environment) = (node, file, key, environment)
  }

  private var line: Int { node.mark?.line ?? 0 }

  func error(_ code: InputError.Code, _ problem: String, remedy: String? = nil) -> InputError {
    InputError(code, line > 0 ? "line \(line): \(problem)" : problem, file: file, subject: key, remedy: remedy)
  }

  /// What YAML has for nothing at all.
  var isNull: Bool {
    guard let scalar = node.scalar, scalar.style == .plain else { return false }
    return ["", "~", "null"].contains(scalar.string)
  }

  /// Members in their order, none twice.
  func members() throws(InputError) -> [(name: String, value: ManifestNode)] {
    try YAMLFile.entries(node, file, expecting: "names and what they stand for in \(key)", remedy: "write name: value")
      .map { ($0.key, child($0.value, "\(key).\($0.key)")) }
  }

  func elements() throws(InputError) -> [ManifestNode] {
    guard let sequence = node.sequence else { throw error(.type, "a list expected", remedy: "write - before each") }
    return sequence.enumerated().map { child($1, "\(key)[\($0 + 1)]") }
  }

  private func child(_ node: Node, _ key: String) -> ManifestNode {
    let key = key.hasPrefix(".") ? String(key.dropFirst()) : key
    return ManifestNode(node, file: file, key: key, environment: environment)
  }

  /// A scalar, variables replaced.
  func string() throws(InputError) -> String {
    guard let scalar = node.scalar else { throw error(.type, "a value expected, found a list or names") }
    let text = try replacingVariables(scalar.string)
    guard !text.utf8.contains(0) else { throw error(.path, "a NUL byte in a value") }
    return text
  }

  func flag() throws(InputError) -> Bool {
    switch try string() {
    case "true": return true
    case "false": return false
    case let other: throw error(.type, "true or false expected, found \(printable(other, limit: 40))")
    }
  }

  /// One value, or a list of them.
  func strings() throws(InputError) -> [String] {
    guard node.sequence != nil else { return [try string()] }
    var strings: [String] = []
    for element in try elements() { strings.append(try element.string()) }
    return strings
  }

  /// `${NAME}` and `${NAME:-default}` by what the environment has; `$$` is a dollar.
  /// - Throws: `MISSING` for a variable that is not set and has no default, `NAME` for one that is none.
  private func replacingVariables(_ text: String) throws(InputError) -> String {
    var out = ""
    var rest = text[...]
    while let dollar = rest.firstIndex(of: "$") {
      out += rest[..<dollar]
      rest = rest[dollar...].dropFirst()
      if rest.first == "$" {
        out += "$"
        rest.removeFirst()
        continue
      }
      guard rest.first == "{", let close = rest.firstIndex(of: "}") else {
        throw error(.name, "a $ that begins no ${NAME}", remedy: "write $$ for a dollar")
      }
      let inner = rest[rest.index(after: rest.startIndex)..<close]
      rest = rest[rest.index(after: close)...]
      let cut = inner.firstRange(of: ":-")
      let name = String(cut.map { inner[..<$0.lowerBound] } ?? inner)
      guard !name.isEmpty, name.utf8.allSatisfy({ ManifestNode.isOfName($0) }) else {
        throw error(.name, "${\(printable(String(inner), limit: 60))} names no variable")
      }
      let value = environment(name)
      if let cut {
        out += value.flatMap { $0.isEmpty ? nil : $0 } ?? String(inner[cut.upperBound...])
      } else if let value {
        out += value
      } else {
        throw error(
          .missing, "the variable \(name) is not set", remedy: "set it, or write ${\(name):-what else}")
      }
    }
    return out + rest
  }

  private static func isOfName(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
      true
    default: false
    }
  }

  /// - Parameter known: what may stand here.
  func unknown(_ name: String, among known: [String]) -> InputError {
    let nearest = known.min { Self.distance($0, name) < Self.distance($1, name) }
    let isNear = nearest.map { Self.distance($0, name) <= max(2, name.count / 3) } ?? false
    return error(
      .name, "nothing has this name here",
      remedy: isNear ? "did you mean \(nearest!)?" : "known are \(known.joined(separator: ", "))")
  }

  /// Letters to insert, leave out or exchange.
  private static func distance(_ a: String, _ b: String) -> Int {
    let (a, b) = (Array(a.utf8.prefix(64)), Array(b.utf8.prefix(64)))
    var row = Array(0...b.count)
    for (i, letter) in a.enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for (j, other) in b.enumerated() {
        let change = diagonal + (letter == other ? 0 : 1)
        diagonal = row[j + 1]
        row[j + 1] = min(change, diagonal + 1, row[j] + 1)
      }
    }
    return row[b.count]
  }
}

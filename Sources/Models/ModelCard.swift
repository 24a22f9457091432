import Bytes

/// What the front matter of a model's README.md says, as far as it can be of use.
public struct ModelCard: Sendable {
  public indirect enum Value: Sendable {
    case null
    case text(String)
    /// A number, a truth or a date, as it is written.
    case other(String)
    case list([Value])
    case mapping([(key: String, value: Value)])

    /// The texts of a list, or a text alone.
    var texts: [String] {
      switch self {
      case .text(let text), .other(let text): [text]
      case .list(let values):
        values.flatMap { value -> [String] in
          if case .list = value { [] } else { value.texts }
        }
      case .null, .mapping: []
      }
    }
  }

  private let fields: [ExactString: Value]

  /// - Parameter fields: of two of one name the last counts.
  public init(_ fields: [(key: String, value: Value)]) {
    self.fields = Dictionary(fields.map { (ExactString($0.key), $0.value) }) { $1 }
  }

  subscript(key: String) -> Value? { fields[ExactString(key)] }

  /// The first of these keys that is a text; a list of texts is joined by commas.
  func text(_ keys: String...) -> String? {
    for key in keys {
      switch self[key] {
      case .text(let text), .other(let text): return text
      case .list(let values) where !values.isEmpty: return Value.list(values).texts.joined(separator: ",")
      default: continue
      }
    }
    return nil
  }

  /// The texts of all of these keys.
  func texts(_ keys: String...) -> [String] { keys.flatMap { self[$0]?.texts ?? [] } }

  /// The entries of the first of these keys that is there at all, as models or datasets that have a name; `nil` when none is.
  func references(_ keys: String..., parameterCount: Int) -> [Reference]? {
    guard let value = keys.lazy.compactMap({ self[$0] }).first else { return nil }
    switch value {
    case .text: return [Reference(value, parameterCount: parameterCount)]
    case .list(let values): return values.map { Reference($0, parameterCount: parameterCount) }
    case .null, .other, .mapping: return []
    }
  }

  /// Another model, or a dataset, that a model was made from.
  struct Reference: Hashable, Sendable {
    /// By the last part of its key, in the order in which they are written.
    private(set) var fields: [Field] = []

    struct Field: Hashable, Sendable {
      var name: String
      var value: String
    }

    static let names = [
      "name", "author", "version", "organization", "description", "url", "doi", "uuid", "repo_url",
    ]

    init(_ value: Value, parameterCount: Int) {
      switch value {
      case .text(let id): fields = Reference.fields(of: id, parameterCount: parameterCount)
      case .mapping(let members):
        for name in Reference.names {
          guard case .text(let text)? = members.last(where: { $0.key == name })?.value else { continue }
          fields.append(Field(name: name, value: text))
        }
      case .null, .other, .list: break
      }
    }

    /// - Parameter id: `organization/name` of Hugging Face, or an address.
    private static func fields(of id: String, parameterCount: Int) -> [Field] {
      let isAddress = ["http://", "https://", "ssh://"].contains(where: id.hasPrefix)
      let name = (isAddress ? idOnHuggingFace(id) : id).map { ModelName($0, parameterCount: parameterCount) }
      let address =
        isAddress ? id : name.flatMap { name in name.organization.map { "https://huggingface.co/\($0)/\(name.full)" } }
      let values: [(String, String?)] = [
        ("name", name.map { ModelName.title($0.full) }), ("version", name?.version),
        ("organization", name?.organization.map(ModelName.title)), ("repo_url", address),
      ]
      return values.compactMap { name, value in value.map { Field(name: name, value: $0) } }
    }

    /// `a/b` of `https://huggingface.co/a/b`.
    private static func idOnHuggingFace(_ address: String) -> String? {
      for scheme in ["http://", "https://"] {
        guard address.hasPrefix(scheme + "huggingface.co/") else { continue }
        let id = address.dropFirst(scheme.count + "huggingface.co/".count)
        let parts = id.split(separator: "/", omittingEmptySubsequences: false)
        return parts.count == 2 && parts.allSatisfy { !$0.isEmpty } ? String(id) : nil
      }
      return nil
    }
  }
}

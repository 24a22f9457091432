import Bytes
import Yams

extension Gates {
  /// From a file of one mapping whose keys are names of gates and whose values are numbers:
  ///
  /// ```yaml
  /// max-kld: 0.02
  /// min-top1: 0.93
  /// ```
  /// - Throws: `YAML` for a file that is no such mapping, naming the line; `NAME` for a key that is no gate, `DUP`,
  ///   `TYPE`, `LIMIT`; `UTF8`.
  public init(reading path: String) throws {
    let bytes = try RandomAccessFile(path).readAll(limit: 64 << 10)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw InputError(.utf8, "not valid UTF-8", file: path)
    }
    self.init()
    let root: Node?
    do {
      root = try Yams.compose(yaml: text)
    } catch let error as YamlError {
      throw InputError(.yaml, "not YAML: \(Gates.problem(error))", file: path)
    }
    guard let root else {
      throw InputError(
        .yaml, "the file has no gate", file: path, remedy: "write one a line, such as max-kld: 0.05")
    }
    // The mapping itself, since asking it by key would hide what is there twice.
    guard case .mapping(let mapping) = root else {
      throw InputError(
        .yaml, "line \(root.mark?.line ?? 1): gates and their limits expected", file: path,
        remedy: "write one a line, such as max-kld: 0.05")
    }
    for (key, value) in mapping {
      let place = "line \(key.mark?.line ?? 0): "
      guard let name = key.scalar?.string, let kind = Kind(rawValue: name) else {
        throw InputError(
          .name, place + "no gate has this name", file: path, subject: key.scalar.map { $0.string },
          remedy: "gates are " + Kind.allCases.map(\.rawValue).joined(separator: ", "))
      }
      guard self[kind] == nil else {
        throw InputError(.duplicate, place + "the gate is there twice", file: path, subject: name)
      }
      guard let scalar = value.scalar, let limit = Double(scalar.string) else {
        throw InputError(
          .type, place + "a number expected, found \(value.scalar.map { $0.string } ?? "something else")",
          file: path, subject: name)
      }
      do throws(InputError) { try set(kind, limit) } catch {
        throw InputError(.limit, place + error.problem, file: path, subject: name)
      }
    }
  }

  private static func problem(_ error: YamlError) -> String {
    switch error {
    case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
      .composer(_, let problem, let mark, _):
      "line \(mark.line): \(problem)"
    case .duplicatedKeysInMapping(let keys, _): "\(keys.joined(separator: ", ")) is there twice"
    default: "it cannot be read"
    }
  }
}

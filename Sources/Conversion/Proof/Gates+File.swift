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
    self.init()
    let remedy = "write one a line, such as max-kld: 0.05"
    let file = try YAMLFile(reading: path, limit: 64 << 10, expecting: "gates and their limits", remedy: remedy)
    for (name, line, value) in file.entries {
      let place = "line \(line): "
      guard let kind = Kind(rawValue: name) else {
        throw InputError(
          .name, place + "no gate has this name", file: path, subject: name,
          remedy: "gates are " + Kind.allCases.map(\.rawValue).joined(separator: ", "))
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
}

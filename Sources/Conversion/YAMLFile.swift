import Bytes
import Yams

/// A file of YAML that is one mapping.
struct YAMLFile {
  let path: String
  /// In the order of the file; keys are strings, and none is there twice.
  let entries: [(key: String, line: Int, value: Node)]

  private static let aliasLimit = 16

  /// - Parameters:
  ///   - limit: bytes that it may have.
  ///   - what: what is expected in it, for messages.
  /// - Throws: `YAML` for a file that is no mapping, naming the line; `DUP`; `UTF8`.
  init(reading path: String, limit: Int, expecting what: String, remedy: String) throws {
    let bytes = try RandomAccessFile(path).readAll(limit: limit)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw InputError(.utf8, "not valid UTF-8", file: path)
    }
    // A few are handy; more, each of several before it, make a tree that no memory holds.
    let aliases = text.matches(of: /(?:^|[\s\[{,:?-])\*[\w-]/).count
    guard aliases <= YAMLFile.aliasLimit else {
      throw InputError(
        .limit, "\(aliases) aliases, at most \(YAMLFile.aliasLimit) are read", file: path, remedy: "write them out")
    }
    let root: Node?
    do {
      root = try Yams.compose(yaml: text)
    } catch let error as YamlError {
      throw YAMLFile.refusal(of: error, path)
    }
    self.path = path
    entries = try YAMLFile.entries(root, path, expecting: what, remedy: remedy)
  }

  /// The mapping itself, since asking it by key would hide what is there twice.
  static func entries(
    _ node: Node?, _ path: String, expecting what: String, remedy: String
  ) throws(InputError) -> [(key: String, line: Int, value: Node)] {
    guard let node else {
      throw InputError(.yaml, "the file has no \(what)", file: path, remedy: remedy)
    }
    guard case .mapping(let mapping) = node else {
      throw InputError(
        .yaml, "line \(node.mark?.line ?? 1): \(what) expected", file: path, remedy: remedy)
    }
    var (entries, seen): ([(key: String, line: Int, value: Node)], Set<ExactString>) = ([], [])
    for (key, value) in mapping {
      let line = key.mark?.line ?? 0
      guard let name = key.scalar?.string else {
        throw InputError(.yaml, "line \(line): a name expected", file: path, remedy: remedy)
      }
      guard seen.insert(ExactString(name)).inserted else {
        throw InputError(.duplicate, "line \(line): it is there twice", file: path, subject: name)
      }
      entries.append((name, line, value))
    }
    return entries
  }

  static func refusal(of error: YamlError, _ path: String) -> InputError {
    InputError(.yaml, "not YAML: \(problem(error))", file: path)
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

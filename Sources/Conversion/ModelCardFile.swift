import Bytes
import Checkpoints
import Models
import Yams

/// The front matter of a README.md: YAML between two lines of three hyphens, the first of which is the first line.
///
/// It is read as convert_hf_to_gguf.py reads it (llama.cpp 0c1e57098, gguf-py/gguf/metadata.py), but within bounds, since whoever
/// publishes a model may write anything: so many bytes and levels, and no aliases, by which a few lines become gigabytes.
enum ModelCardFile {
  private static let name = "README.md"
  private static let limit = 1 << 18
  private static let maximumColumn = 128
  private static let maximumBrackets = 1000

  /// The card in `folder`, empty when there is none.
  /// - Returns: also a sentence for a card that cannot be read, which is no reason not to convert a model.
  static func read(in folder: ModelFolder) -> (card: ModelCard, note: String?) {
    do {
      guard try folder.file(name) != nil else { return (ModelCard([]), nil) }
      let file = try folder.open(name)
      guard let text = try frontMatter(file) else { return (ModelCard([]), nil) }
      return (try card(text, file.path), nil)
    } catch let error as InputError {
      return (ModelCard([]), "the model card is left out: \(error)")
    } catch {
      return (ModelCard([]), "the model card is left out: \(error)")
    }
  }

  /// `nil` for a file without. One that does not end is the rest of the file.
  private static func frontMatter(_ file: RandomAccessFile) throws -> String? {
    let bytes = try file.read(at: 0, count: min(file.size, limit))
    var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)[...]
    func text(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
      line.last == UInt8(ascii: "\r") ? line.dropLast() : line
    }
    guard let first = lines.popFirst(), text(first).elementsEqual("---".utf8) else { return nil }
    let end = lines.firstIndex { text($0).elementsEqual("---".utf8) }
    guard end != nil || bytes.count == file.size else {
      throw InputError(.limit, "front matter of more than \(limit) bytes", file: file.path)
    }
    let matter = lines[..<(end ?? lines.endIndex)].map { text($0) }
    guard let text = String(validating: matter.joined(separator: [UInt8(ascii: "\n")]), as: UTF8.self) else {
      throw InputError(.utf8, "not valid UTF-8", file: file.path)
    }
    return text + "\n"
  }

  private static func card(_ text: String, _ path: String) throws -> ModelCard {
    try check(text, path)
    // What the converter repairs: the language of Norway, which YAML takes for a no, and tabs, which it does not take at all.
    let repaired = text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
      String(line.hasSuffix("- no") ? line.dropLast(2) + "\"no\"" : line).replacingScalars { $0 == "\t" ? "  " : nil }
    }.joined(separator: "\n")
    let root: Node?
    do {
      // Lines are counted as in the file.
      root = try Yams.compose(yaml: "\n" + repaired)
    } catch let error as YamlError {
      throw YAMLFile.refusal(of: error, path)
    }
    guard let root, root.tag.description != Tag.Name.null.rawValue else { return ModelCard([]) }
    guard case .mapping(let mapping) = root else {
      throw InputError(.yaml, "front matter that is no mapping", file: path)
    }
    return ModelCard(mapping.compactMap { key, value in key.scalar.map { ($0.string, self.value(value, depth: 2)) } })
  }

  /// - Parameter depth: levels of lists and mappings that are of interest.
  private static func value(_ node: Node, depth: Int) -> ModelCard.Value {
    switch node {
    case .scalar(let scalar):
      switch node.tag.description {
      case Tag.Name.null.rawValue: .null
      case Tag.Name.str.rawValue: .text(scalar.string)
      default: .other(scalar.string)
      }
    case .sequence(let sequence): depth == 0 ? .null : .list(sequence.map { value($0, depth: depth - 1) })
    case .mapping(let mapping):
      depth == 0
        ? .null
        : .mapping(
          mapping.compactMap { key, element in key.scalar.map { ($0.string, value(element, depth: depth - 1)) } })
    case .alias: .null
    }
  }

  /// Refuses what would take more memory or stack than its bytes promise.
  /// - Throws: `LIMIT`.
  private static func check(_ text: String, _ path: String) throws(InputError) {
    var brackets = 0
    var (anchors, aliases): (Set<ExactString>, Set<ExactString>) = ([], [])
    for line in text.utf8.split(separator: UInt8(ascii: "\n")) {
      // Blocks nest by indentation, and by hyphens and question marks on one line.
      let start = line.prefix { " \t-?:".utf8.contains($0) }.count
      guard start <= maximumColumn else { throw tooDeep(path) }
      brackets += line.count { $0 == UInt8(ascii: "[") || $0 == UInt8(ascii: "{") }
      for (mark, isAnchor) in [(UInt8(ascii: "&"), true), (UInt8(ascii: "*"), false)] {
        for part in line.split(separator: mark, omittingEmptySubsequences: false).dropFirst() {
          let name = String(
            decoding: part.prefix { byte in
              byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-") || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
                || UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte | 0x20
            }, as: UTF8.self)
          if name.isEmpty { continue }
          if isAnchor { anchors.insert(ExactString(name)) } else { aliases.insert(ExactString(name)) }
        }
      }
    }
    guard brackets <= maximumBrackets else { throw tooDeep(path) }
    guard anchors.isDisjoint(with: aliases) else {
      throw InputError(.limit, "front matter with aliases, which are not followed", file: path)
    }
  }

  private static func tooDeep(_ path: String) -> InputError {
    InputError(.limit, "front matter that is nested too deeply", file: path)
  }
}

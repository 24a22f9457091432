import Bytes

/// The questions of a file, whatever form it has: see docs/tasks.md.
public struct TaskFile: Sendable {
  public enum Format: String, Sendable {
    case jsonLines = "JSON lines"
    case hellaSwag = "llama.cpp's HellaSwag text"
    case winoGrande = "WinoGrande CSV"
    case binary = "llama.cpp's multiple-choice binary"
  }

  public let path: String
  public let format: Format
  public let items: [TaskItem]

  static let byteLimit = 256 << 20
  static let lineLimit = 1 << 20
  static let itemLimit = 1 << 20

  /// - Throws: `InputError` naming the line (or the item, of a binary file) and the field.
  public init(reading path: String) throws {
    let bytes = try RandomAccessFile(path).readAll(limit: TaskFile.byteLimit)
    self.path = path
    (format, items) = try TaskFile.parse(bytes, path: path)
  }

  /// `bytes` as the content of a file called `path`, which gives items their task where they do not say it.
  package static func parse(_ bytes: [UInt8], path: String) throws(InputError) -> (Format, [TaskItem]) {
    let task = stem(path)
    let found: (Format, [TaskItem])
    if BinaryTasks.begin(bytes) {
      found = (.binary, try BinaryTasks.parse(bytes, path: path, task: task))
    } else {
      let lines = try TaskLines(bytes, path: path)
      if lines.looksLikeJSON {
        found = (.jsonLines, try JSONLineTasks.parse(lines, task: task))
      } else if HellaSwagTasks.begin(lines) {
        found = (.hellaSwag, try HellaSwagTasks.parse(lines, task: task))
      } else if WinoGrandeTasks.begin(lines) {
        found = (.winoGrande, try WinoGrandeTasks.parse(lines, task: task))
      } else {
        throw InputError(
          .magic, "not a task file", file: path,
          remedy: "give JSON lines, llama.cpp's HellaSwag text or multiple-choice binary, or a WinoGrande CSV")
      }
    }
    guard !found.1.isEmpty else { throw InputError(.missing, "no task is in it", file: path) }
    return found
  }

  /// `hellaswag` of `data/hellaswag.val.jsonl`: the last part of the path up to its first point that is not at its front.
  private static func stem(_ path: String) -> String {
    let name = path.split(separator: "/").last.map(String.init) ?? path
    guard let end = name.dropFirst().firstIndex(of: ".") else { return name }
    return String(name[..<end])
  }
}

/// The lines of a text, proved to be UTF-8 and short enough, with their places.
struct TaskLines {
  let path: String
  let bytes: [UInt8]
  /// Without line ends; `\r` before `\n` belongs to the end.
  let ranges: [Range<Int>]

  init(_ bytes: [UInt8], path: String) throws(InputError) {
    do {
      _ = try UTF8Span(validating: bytes.span)
    } catch {
      throw InputError(.utf8, "not valid UTF-8", file: path, offset: UInt64(error.byteOffsets.lowerBound))
    }
    var ranges: [Range<Int>] = []
    var start = 0
    while start < bytes.count {
      let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
      guard end - start <= TaskFile.lineLimit else {
        throw InputError(
          .limit, "\(end - start) bytes in a line, at most \(TaskFile.lineLimit) are read", file: path,
          subject: "line \(ranges.count + 1)", offset: UInt64(start))
      }
      // Six lines of HellaSwag make an item, one line anywhere else.
      guard ranges.count < TaskFile.itemLimit * 6 else {
        throw InputError(.limit, "too many lines", file: path, offset: UInt64(start))
      }
      let isCRLF = end < bytes.count && end > start && bytes[end - 1] == UInt8(ascii: "\r")
      ranges.append(start..<(isCRLF ? end - 1 : end))
      start = end + 1
    }
    (self.path, self.bytes, self.ranges) = (path, bytes, ranges)
  }

  var count: Int { ranges.count }

  /// Line `index`, from 0.
  func text(_ index: Int) -> String { String(decoding: bytes[ranges[index]], as: UTF8.self) }

  func isBlank(_ index: Int) -> Bool { ranges[index].allSatisfy { bytes[$0] == 0x20 || bytes[$0] == 0x09 } }

  var looksLikeJSON: Bool {
    bytes.first { $0 != 0x20 && $0 != 0x09 && $0 != 0x0A && $0 != 0x0D } == UInt8(ascii: "{")
  }

  /// `error` as one of line `index`, from 0.
  func located(_ error: InputError, _ index: Int) -> InputError {
    var error = error.adding(file: path, offset: UInt64(ranges[index].lowerBound))
    error.subject = "line \(index + 1)" + (error.subject.map { ", \($0)" } ?? "")
    return error
  }
}

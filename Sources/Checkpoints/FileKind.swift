public import Bytes

/// What a file is by its first bytes, whatever its name says.
public enum FileKind: String, Sendable, CaseIterable {
  case safetensors
  case gguf = "GGUF"
  /// A zip archive; `torch.save` writes one since PyTorch 1.6.
  case torchZip = "PyTorch zip"
  /// A bare pickle; what `torch.save` wrote before.
  case torchLegacy = "PyTorch legacy pickle"
  /// What `torch.save` wrote before 0.1.10.
  case tar = "tar archive"
  /// A text that begins with `{`.
  case json = "JSON"
  /// The few lines that stand for a file that `git lfs` has not fetched yet.
  case gitLFSPointer = "Git LFS pointer"
  /// A web page, most often an error or a log-in page saved under the file's name.
  case html = "HTML page"
  case unknown

  /// Bytes that `init(sniffing:size:)` looks at.
  public static let sniffedBytes = 512

  public init(_ file: RandomAccessFile) throws {
    self.init(
      sniffing: try file.read(at: 0, count: min(file.size, FileKind.sniffedBytes)), size: file.size)
  }

  /// - Parameters:
  ///   - head: the first bytes of the file; 512 are enough.
  ///   - size: bytes of the whole file.
  public init(sniffing head: [UInt8], size: Int) {
    if head.starts(with: "GGUF".utf8) {
      self = .gguf
    } else if head.starts(with: [0x50, 0x4B, 0x03, 0x04]) || head.starts(with: [0x50, 0x4B, 0x05, 0x06]) {
      self = .torchZip
    } else if head.count >= 2, head[0] == 0x80, (1...5).contains(head[1]), !FileKind.hasHeader(head) {
      self = .torchLegacy
    } else if FileKind.hasHeader(head) {
      self = .safetensors
    } else if head.count > 262, head[257..<262].elementsEqual("ustar".utf8) {
      self = .tar
    } else {
      self = FileKind.text(head)
    }
  }

  /// A length that safetensors allows, then the brace of its header.
  private static func hasHeader(_ head: [UInt8]) -> Bool {
    guard head.count > 8 else { return false }
    let length = head[..<8].reversed().reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
    guard length <= UInt64(SafetensorsFile.maximumHeaderBytes) else { return false }
    return head[8...].first { !isSpace($0) } == UInt8(ascii: "{")
  }

  private static func text(_ head: [UInt8]) -> FileKind {
    var start = head.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
    while start < head.count, isSpace(head[start]) { start += 1 }
    let lower = head[start...].map { $0 >= UInt8(ascii: "A") && $0 <= UInt8(ascii: "Z") ? $0 | 0x20 : $0 }
    if lower.starts(with: "version https://git-lfs.github.com/spec/".utf8) { return .gitLFSPointer }
    if lower.starts(with: "version https://hawser.github.com/spec/".utf8) { return .gitLFSPointer }
    for tag in ["<!doctype", "<html", "<head", "<?xml", "<error"] where lower.starts(with: tag.utf8) { return .html }
    return lower.first == UInt8(ascii: "{") ? .json : .unknown
  }

  private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D }
}

extension FileKind {
  /// The error for a file of this kind where `expected` should be.
  func refusal(expected: String, file: String) -> InputError {
    switch self {
    case .gitLFSPointer:
      InputError(
        .magic, "\(expected) expected, found a Git LFS pointer: the file itself has not been fetched", file: file,
        remedy: "run 'git lfs pull' in the folder, or download the file")
    case .html:
      InputError(
        .magic, "\(expected) expected, found a web page: most likely an error or log-in page saved by the download",
        file: file, remedy: "download the file again, with access to the model")
    case .unknown:
      InputError(
        .magic, "\(expected) expected, found a file of no known kind", file: file, remedy: "download the file again")
    default:
      InputError(
        .magic, "\(expected) expected, found a file whose content is \(rawValue)", file: file,
        remedy: "give the file its right name; a name that belies the content is not trusted")
    }
  }
}

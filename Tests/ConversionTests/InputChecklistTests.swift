import Bytes
import Conversion
import Crypto
import TestSupport
import Testing

/// `checklist.chk`: an MD5 and a name a line.
@Suite struct InputChecklistTests {
  private let folder: TemporaryFolder
  private let path: String

  init() throws {
    folder = try TemporaryFolder()
    path = try MetaModel.small.write(to: folder, shards: 2)
  }

  private func md5(_ name: String) throws -> String {
    let bytes = try RandomAccessFile(path + "/" + name).readAll(limit: 1 << 26)
    return Insecure.MD5.hash(data: bytes).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  private func line(_ name: String) throws -> String { "\(try md5(name))  \(name)\n" }

  private func list() throws -> [String] {
    try ["consolidated.00.pth", "consolidated.01.pth", "params.json"].map(line)
  }

  private func expect(
    _ code: InputError.Code, naming words: String..., of text: String, at location: SourceLocation = #_sourceLocation
  ) throws {
    try folder.write("model/checklist.chk", text)
    #expect(sourceLocation: location) {
      try InputChecklist(of: path).verify(jobs: 2)
    } throws: {
      guard let error = $0 as? InputError else { return false }
      return error.code == code && error.remedy != nil && words.allSatisfy("\(error)".contains)
    }
  }

  @Test func filesThatAreWhatTheListSaysPass() throws {
    try folder.write("model/checklist.chk", list().joined())
    #expect(try InputChecklist(of: path).verify(jobs: 2) == 3)
    #expect(try InputChecklist(of: path + "/consolidated.00.pth").verify(jobs: 1) == 3)
  }

  /// Binary mode, upper case, a leading `./`, line ends of Windows, no end of the last line.
  @Test func everyWayOfMd5sumIsRead() throws {
    let text =
      "\(try md5("consolidated.00.pth").uppercased()) *consolidated.00.pth\r\n\r\n"
      + "\(try md5("consolidated.01.pth"))  ./consolidated.01.pth"
    try folder.write("model/checklist.chk", text)
    #expect(try InputChecklist(of: path).verify(jobs: 1) == 2)
  }

  @Test(arguments: [0, 1, 2]) func aChangedFileIsNamed(_ place: Int) throws {
    let text = try list().joined()
    let name = ["consolidated.00.pth", "consolidated.01.pth", "params.json"][place]
    var bytes = try RandomAccessFile(path + "/" + name).readAll(limit: 1 << 26)
    bytes[bytes.count / 2] ^= 1
    try folder.write("model/" + name, bytes)
    try expect(.checksum, naming: name, "MD5", "download", of: text)
  }

  @Test func aFileThatIsNotThereIsMissing() throws {
    try expect(
      .missing, naming: "tokenizer.model", of: list().joined() + "\(try md5("params.json"))  tokenizer.model\n")
  }

  @Test func aShardThatTheListLeavesOutIsRefused() throws {
    try expect(.missing, naming: "consolidated.01.pth", of: list()[0])
  }

  @Test func aNameThatLeadsOutOfTheFolderIsNotRead() throws {
    try folder.write("secret", "x")
    let digest = try md5("params.json")
    for name in ["../secret", "/etc/hostname", "a/../../secret"] {
      try expect(.path, of: list().joined() + "\(digest)  \(name)\n")
    }
  }

  @Test(arguments: [
    "x", "0123  params.json", "zz0123456789abcdef0123456789abcdef  params.json",
    "0123456789abcdef0123456789abcdef params.json", "0123456789abcdef0123456789abcdef",
    "0123456789abcdef0123456789abcdef  ",
    "0123456789abcdef0123456789abcdef0  params.json",
  ]) func aLineThatIsNoneIsRefused(_ line: String) throws {
    try expect(.type, naming: "checklist.chk", "at byte", of: list().joined() + line)
  }

  @Test func aNameThatStandsTwiceIsRefused() throws {
    try folder.write("model/checklist.chk", list().joined() + list()[0])
    #expect { try InputChecklist(of: path) } throws: { ($0 as? InputError)?.code == .duplicate }
  }

  @Test func withoutAListThereIsNothingToVerify() throws {
    for path in [path, Fixtures.path("tiny-llama"), Fixtures.path("tiny-llama/original")] {
      #expect { try InputChecklist(of: path) } throws: {
        ($0 as? InputError)?.code == .missing && "\($0)".contains("checklist.chk")
      }
    }
  }
}

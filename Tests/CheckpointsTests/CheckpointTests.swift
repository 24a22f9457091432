import Bytes
import Checkpoints
import Tensors
import TestSupport
import Testing

@Suite struct CheckpointTests {
  private static let weights = SafetensorsBytes.file([.init("w", "F32", [1], [0, 0, 128, 63])])

  @Test func opensTheTrainedFixture() throws {
    let checkpoint = try Checkpoint(opening: Fixtures.path("tiny-llama"))
    #expect(checkpoint.format == .safetensors)
    #expect(checkpoint.tensors.count == 6 * 9 + 3)
    #expect(checkpoint.tensors.map(\.name).first == "lm_head.weight")
    #expect(try checkpoint.config?.root.required("hidden_size").int() == 256)
    #expect(checkpoint.generationConfig != nil)
    #expect(try checkpoint.folder.file("tokenizer.json") != nil)
    #expect(try checkpoint.folder.file("tokenizer.model") == nil)
    #expect(checkpoint.notes.isEmpty)
    try checkpoint.checkUnchanged()
  }

  @Test func aFileThatChangesIsTold() throws {
    let folder = try TemporaryFolder()
    try folder.write("model.safetensors", CheckpointTests.weights)
    let checkpoint = try Checkpoint(opening: folder.path)
    try checkpoint.checkUnchanged()
    try folder.write("model.safetensors", [1, 2, 3])
    #expect { try checkpoint.checkUnchanged() } throws: { ($0 as? InputError)?.code == .changed }
    #expect { try checkpoint.tensors[0].read(rows: 0..<1) } throws: { ($0 as? InputError)?.code == .changed }
  }

  @Test func case153NotesRemoteCodeAndNeverRunsIt() throws {
    let folder = try TemporaryFolder()
    try folder.write("model.safetensors", CheckpointTests.weights)
    try folder.write("config.json", #"{"auto_map":{"AutoModel":"evil.py--Model"}}"#)
    #expect(try Checkpoint(opening: folder.path).notes.count == 1)
  }

  @Test func aConfigThatIsTooLargeIsNotRead() throws {
    let folder = try TemporaryFolder()
    try folder.write("model.safetensors", CheckpointTests.weights)
    try folder.writeSparse("config.json", size: 1 << 31)
    #expect { try Checkpoint(opening: folder.path) } throws: { ($0 as? InputError)?.code == .limit }
  }

  @Test func whatIsNoModelIsSaidPlainly() throws {
    let folder = try TemporaryFolder()
    #expect { try Checkpoint(opening: folder.path) } throws: { ($0 as? InputError)?.code == .missing }
    #expect { try Checkpoint(opening: folder.path("nothing")) } throws: { ($0 as? InputError)?.code == .missing }
    #expect { try Checkpoint(opening: folder.path + "/a\0b") } throws: { ($0 as? InputError)?.code == .path }
    try folder.write("model.gguf", "GGUF\u{3}\0\0\0")
    #expect { try Checkpoint(opening: folder.path) } throws: {
      ($0 as? InputError)?.code == .missing && ($0 as? InputError)?.remedy?.contains("GGUF") == true
    }
    #expect { try Checkpoint(opening: folder.path("model.gguf")) } throws: { ($0 as? InputError)?.code == .magic }
  }

  @Test(arguments: [
    (FileKind.safetensors, SafetensorsBytes.file(header: "{}")), (.safetensors, SafetensorsBytes.file(header: " \n{}")),
    (.gguf, Array("GGUF\u{3}\0\0\0".utf8)), (.torchZip, [0x50, 0x4B, 3, 4, 0]),
    (.torchLegacy, [0x80, 2, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9]), (.json, Array(" {\"a\":1}".utf8)),
    (.gitLFSPointer, Array("version https://git-lfs.github.com/spec/v1\n".utf8)),
    (.html, Array("\u{FEFF}\r\n <HTML>".utf8)), (.html, Array("<?xml version=\"1.0\"?><Error>".utf8)),
    (.tar, [UInt8](repeating: 0x61, count: 257) + Array("ustar\0".utf8)), (.unknown, []), (.unknown, [1, 2, 3]),
    (.unknown, Array("plain text that is nothing".utf8)),
  ]) func theKindOfAFileIsToldByItsContent(_ kind: FileKind, _ bytes: [UInt8]) {
    #expect(FileKind(sniffing: bytes, size: bytes.count) == kind)
  }
}

import Bytes
import Checkpoints
import Tensors
import TestSupport
import Testing

@Suite struct TorchTests {
  private func expectSame(_ name: String, as reference: String) throws {
    let found = try Checkpoint(opening: Fixtures.path("torch/\(name)"))
    let expected = try SafetensorsFile(Fixtures.path("torch/\(reference)")).tensors
    #expect(found.format == .torch)
    #expect(found.tensors.count == expected.count)
    for expected in expected {
      let tensor = try #require(found.tensors.first { ExactString($0.name) == ExactString(expected.name) })
      #expect(tensor.dtype == expected.dtype && tensor.shape == expected.shape, "\(expected.name)")
      let (a, b) = (try tensor.read(rows: 0..<tensor.rows), try expected.read(rows: 0..<expected.rows))
      #expect(a == b, "\(expected.name)")
    }
  }

  @Test(arguments: ["zip.pt", "legacy.pt", "deflated.pt", "old.pt"])
  func readsWhatTorchWroteToTheByte(_ name: String) throws { try expectSame(name, as: "golden.safetensors") }

  @Test func findsTheWeightsBesideATrainersState() throws {
    try expectSame("training.pt", as: "training.safetensors")
    #expect(try Checkpoint(opening: Fixtures.path("torch/training.pt")).notes.isEmpty)
  }

  @Test func readsAnyRowsOfAView() throws {
    for file in ["zip.pt", "deflated.pt"] {
      for tensor in try Checkpoint(opening: Fixtures.path("torch/\(file)")).tensors {
        let all = try tensor.read(rows: 0..<tensor.rows)
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<20 {
          let begin = Int.random(in: 0...tensor.rows, using: &generator)
          let end = Int.random(in: begin...tensor.rows, using: &generator)
          let rows = try tensor.read(rows: begin..<end)
          #expect(
            rows == Array(all[begin * tensor.rowBytes..<end * tensor.rowBytes]), "\(tensor.name) \(begin)..<\(end)")
        }
      }
    }
  }

  @Test func tensorsComeInTheOrderOfTheFile() throws {
    let names = try Checkpoint(opening: Fixtures.path("torch/zip.pt")).tensors.map(\.name)
    #expect(names.first == "dtype.float64" && names.last == "large")
  }

  @Test func metasFileOpensAsWhatItIs() throws {
    let checkpoint = try Checkpoint(opening: Fixtures.path("tiny-llama/original/consolidated.00.pth"))
    #expect(checkpoint.format == .meta)
    #expect(checkpoint.tensors.contains { $0.name == "tok_embeddings.weight" && $0.shape.dimensions == [4096, 256] })
    let embedding = try #require(checkpoint.tensors.first { $0.name == "tok_embeddings.weight" })
    let other = try #require(
      Checkpoint(opening: Fixtures.path("tiny-llama")).tensors.first { $0.name == "model.embed_tokens.weight" })
    #expect(try embedding.read(rows: 0..<4096) == other.read(rows: 0..<4096))
  }

  @Test func shardsOfPicklesHaveAnIndexToo() throws {
    let folder = try TemporaryFolder()
    func shard(_ name: String) -> [UInt8] {
      P.archive(P.proto + P.emptyDict + P.text(name) + P.tensor4 + P.setItem + P.stop)
    }
    try folder.write("pytorch_model-00001-of-00002.bin", shard("a"))
    try folder.write("pytorch_model-00002-of-00002.bin", shard("b"))
    #expect(try Checkpoint(opening: folder.path).tensors.map(\.name) == ["a", "b"])
    try folder.write(
      "pytorch_model.bin.index.json",
      #"{"weight_map":{"b":"pytorch_model-00002-of-00002.bin","a":"pytorch_model-00001-of-00002.bin"}}"#)
    #expect(try Checkpoint(opening: folder.path).tensors.map(\.name) == ["a", "b"])
    try folder.write(
      "model.safetensors", SafetensorsBytes.file([.init("c", "F32", [1], [0, 0, 0, 0])]))
    let checkpoint = try Checkpoint(opening: folder.path)
    #expect(checkpoint.tensors.map(\.name) == ["c"] && checkpoint.notes.count == 1)
  }

  @Test func aFileSaysWhatItLeavesOut() throws {
    let folder = try TemporaryFolder()
    let pickle =
      P.proto + P.emptyDict + P.mark + P.text("w") + P.tensor4 + P.text("step") + P.int(3) + P.setItems + P.stop
    let checkpoint = try Checkpoint(opening: folder.write("a.pt", P.archive(pickle)))
    #expect(checkpoint.tensors.map(\.name) == ["w"])
    #expect(checkpoint.notes.first?.contains("step") == true)
  }

  @Test(arguments: [
    ([("module.", "module.a"), ("module.", "module.b")], ["a", "b"]),
    ([("", "_orig_mod.module.a"), ("", "_orig_mod.module.b")], ["a", "b"]),
    ([("", "module.a"), ("", "b")], ["module.a", "b"]), ([("", "model.a"), ("", "model.b")], ["model.a", "model.b"]),
  ]) func prefixesGoWhenAllNamesHaveThem(_ names: [(String, String)], _ expected: [String]) throws {
    let folder = try TemporaryFolder()
    let items = names.flatMap { P.text($0.1) + P.tensor4 }
    let pickle = P.proto + P.emptyDict + P.mark + items + P.setItems + P.stop
    #expect(try Checkpoint(opening: folder.write("a.pt", P.archive(pickle))).tensors.map(\.name) == expected)
  }

  @Test(arguments: ["model", "state_dict", "model_state_dict", "module"])
  func weightsLieUnderOneOfTheUsualKeys(_ key: String) throws {
    let folder = try TemporaryFolder()
    let inner = P.emptyDict + P.text("w") + P.tensor4 + P.setItem
    let other = P.text("x") + P.int(1) + P.setItem
    let pickle = P.proto + P.emptyDict + other + P.text(key) + inner + P.setItem + P.stop
    #expect(try Checkpoint(opening: folder.write("a.pt", P.archive(pickle))).tensors.map(\.name) == ["w"])
  }

  /// Any change of a byte gives an error or a file whose every tensor can be read; nothing else.
  @Test(arguments: ["zip.pt", "legacy.pt", "deflated.pt", "training.pt"])
  func mutatedFilesAreRefusedOrReadWhole(_ name: String) throws {
    let folder = try TemporaryFolder()
    let original = try RandomAccessFile(Fixtures.path("torch/\(name)")).readAll(limit: 1 << 20)
    for seed in 0..<400 as Range<UInt64> {
      var generator = SeededGenerator(seed: seed)
      var bytes = original
      for _ in 0..<Int.random(in: 1...3, using: &generator) {
        // The pickle stands first, the directory last.
        let near = min(bytes.count, 6_000)
        let fromEnd = Bool.random(using: &generator)
        let place =
          fromEnd
          ? bytes.count - 1 - Int.random(in: 0..<near, using: &generator) : Int.random(in: 0..<near, using: &generator)
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        case 1: bytes[place] = UInt8.random(in: 0...255, using: &generator)
        case 2:
          bytes[place] = Array("ctR.sub(}]qhKMJ\u{8A}XNQ".unicodeScalars.map { UInt8($0.value) }).randomElement(
            using: &generator)!
        default: bytes.removeLast(Int.random(in: 0..<20, using: &generator))
        }
      }
      let path = try folder.write("a.pt", bytes)
      do {
        for tensor in try Checkpoint(opening: path).tensors { _ = try tensor.read(rows: 0..<tensor.rows) }
      } catch let error as InputError {
        #expect(error.file == path, "seed \(seed): \(error)")
      }
    }
  }
}

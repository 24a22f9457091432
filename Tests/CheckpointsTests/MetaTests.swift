import Bytes
import Checkpoints
import Tensors
import TestSupport
import Testing

/// Meta's form: `params.json` and one shard a process.
@Suite struct MetaTests {
  private let model = MetaModel.small

  private func bytes(_ tensor: Tensor) throws -> [UInt8] { try tensor.read(rows: 0..<tensor.rows) }

  @Test(arguments: [1, 2, 4, 8, 16], [false, true])
  func shardsAreTheWholeThatWasCut(_ count: Int, _ byColumns: Bool) throws {
    let folder = try TemporaryFolder()
    var model = model
    model.cutsEmbeddingByColumns = byColumns
    let checkpoint = try Checkpoint(opening: model.write(to: folder, shards: count))
    #expect(checkpoint.format == .meta)
    #expect(checkpoint.inputFiles.count == count)
    let weights = model.parts.filter { $0.name != "rope.freqs" }
    #expect(checkpoint.tensors.map(\.name) == weights.map(\.name))
    for (tensor, part) in zip(checkpoint.tensors, weights) {
      #expect(tensor.shape.dimensions == part.shape && tensor.dtype == .bf16, "\(part.name)")
      #expect(try bytes(tensor) == part.bytes, "\(part.name)")
    }
    #expect(checkpoint.totalBytes == weights.reduce(0) { $0 + $1.bytes.count })
    try checkpoint.checkUnchanged()
  }

  /// As Llama 3.1 405B in 16 shards, which has 8 key-value heads.
  @Test(arguments: [(16, 2), (8, 4), (16, 8), (2, 2)])
  func shardsMayHaveCopiesOfKeyValueHeads(_ count: Int, _ copies: Int) throws {
    let folder = try TemporaryFolder()
    var model = model
    model.keyValueCopies = copies
    let checkpoint = try Checkpoint(opening: model.write(to: folder, shards: count))
    for part in model.parts where part.name.contains(".wk.") || part.name.contains(".wv.") {
      let tensor = try #require(checkpoint.tensors.first { $0.name == part.name })
      #expect(tensor.shape.dimensions == part.shape)
      #expect(try bytes(tensor) == part.bytes)
    }
  }

  @Test(arguments: [2, 8]) func anyRangeOfRowsIsThatOfTheWhole(_ count: Int) throws {
    let folder = try TemporaryFolder()
    let checkpoint = try Checkpoint(opening: model.write(to: folder, shards: count))
    for tensor in checkpoint.tensors.prefix(10) {
      let whole = try bytes(tensor)
      for first in stride(from: 0, to: tensor.rows, by: 5) {
        for end in stride(from: first, through: tensor.rows, by: 7) {
          let rows = try tensor.read(rows: first..<end)
          #expect(rows.elementsEqual(whole[first * tensor.rowBytes..<end * tensor.rowBytes]), "\(tensor.name)")
        }
      }
    }
  }

  @Test func theTrainedFixtureHasBothForms() throws {
    let folder = Fixtures.path("tiny-llama")
    let meta = try Checkpoint(opening: folder + "/original")
    #expect(meta.format == .meta && meta.tensors.count == 57)
    #expect(try meta.parameters?.root.required("dim").int() == 256)
    // Hugging Face's files win unless the other form is asked for.
    #expect(try Checkpoint(opening: folder).format == .safetensors)
    let asked = try Checkpoint(opening: folder, layout: .meta)
    #expect(asked.format == .meta && asked.folder.path == folder + "/original" && asked.givenFolder.path == folder)
    #expect(try Checkpoint(opening: folder + "/original/consolidated.00.pth").format == .meta)
  }

  @Test func theFolderOriginalIsReadWhereNothingElseIs() throws {
    let folder = try TemporaryFolder()
    try model.write(to: folder, "original", shards: 2)
    #expect(try Checkpoint(opening: folder.path).format == .meta)
    #expect { try Checkpoint(opening: folder.path, layout: .huggingFace) } throws: {
      ($0 as? InputError)?.code == .missing
    }
  }

  @Test func safetensorsBesideShardsWinAndThatIsSaid() throws {
    let folder = try TemporaryFolder()
    try model.write(to: folder, "m")
    try folder.write("m/model.safetensors", SafetensorsBytes.file([.init("w", "F32", [1], [0, 0, 128, 63])]))
    let checkpoint = try Checkpoint(opening: folder.path("m"))
    #expect(checkpoint.format == .safetensors)
    #expect(checkpoint.notes.contains { $0.contains("--layout meta") })
    #expect(try Checkpoint(opening: folder.path("m"), layout: .meta).format == .meta)
  }

  @Test func aShardWithoutParametersIsAFileOfWeights() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("consolidated.00.pth", MetaModel.file(model.parts))
    #expect(try Checkpoint(opening: path).format == .torch)
  }
}

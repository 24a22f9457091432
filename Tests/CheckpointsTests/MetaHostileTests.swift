import Bytes
import Checkpoints
import TestSupport
import Testing

/// Every way in which shards do not make one model is a named error that says what to do.
@Suite struct MetaHostileTests {
  private typealias Shards = [[MetaModel.Part]]
  private let model = MetaModel.small

  /// Opens, and reads every tensor.
  private func read(_ path: String) throws {
    for tensor in try Checkpoint(opening: path, layout: .meta).tensors { _ = try tensor.read(rows: 0..<tensor.rows) }
  }

  private func expect(
    _ code: InputError.Code, naming words: String..., in path: String, at location: SourceLocation = #_sourceLocation
  ) {
    #expect(sourceLocation: location) {
      try read(path)
    } throws: {
      guard let error = $0 as? InputError else { return false }
      let text = "\(error)"
      return error.code == code && error.remedy != nil && error.file != nil && words.allSatisfy(text.contains)
    }
  }

  private func written(
    _ folder: TemporaryFolder, shards count: Int = 4, changing change: (inout [[MetaModel.Part]]) -> Void = { _ in }
  ) throws -> String { try model.write(to: folder, shards: count, changing: change) }

  private func place(_ name: String) throws -> Int { try #require(model.parts.firstIndex { $0.name == name }) }

  @Test(arguments: [0, 1, 2, 3]) func aMissingShardIsNamed(_ missing: Int) throws {
    let folder = try TemporaryFolder()
    let path = try written(folder)
    try folder.remove("model/" + MetaModel.shardName(missing))
    expect(.missing, naming: MetaModel.shardName(missing), in: path)
  }

  @Test func oneShardOfEightIsNotAModel() throws {
    let folder = try TemporaryFolder()
    let path = try written(folder, shards: 8)
    for index in 1..<8 { try folder.remove("model/" + MetaModel.shardName(index)) }
    expect(.missing, naming: "consolidated.01.pth", "those of 8", in: path)
  }

  @Test func moreShardsThanTheirShapesSayAreRefused() throws {
    let folder = try TemporaryFolder()
    let path = try written(folder, shards: 2) { $0.append($0[1]) }
    expect(.shape, naming: "3 shards", "those of 2", in: path)
  }

  @Test func moreThanSixteenShardsAreALimit() throws {
    let folder = try TemporaryFolder()
    let path = try written(folder, shards: 1) { $0 = Shards(repeating: $0[0], count: 17) }
    expect(.limit, naming: "17 shards", in: path)
  }

  @Test func shardsOfDifferentShapesAreRefused() throws {
    let folder = try TemporaryFolder()
    let place = try place("layers.1.feed_forward.w1.weight")
    let path = try written(folder, shards: 2) {
      $0[1][place].shape = [48, 64]
      $0[1][place].bytes.removeLast(48 * 64 * 2)
    }
    expect(.shape, naming: "layers.1.feed_forward.w1.weight", "[48, 64]", "[96, 64]", "consolidated.01.pth", in: path)
  }

  @Test func shardsOfDifferentTypesAreRefused() throws {
    let folder = try TemporaryFolder()
    let place = try place("output.weight")
    let path = try written(folder, shards: 2) { $0[1][place].storage = "HalfStorage" }
    expect(.type, naming: "output.weight", "F16", "BF16", in: path)
  }

  @Test func aTensorThatAShardLacksIsMissing() throws {
    let folder = try TemporaryFolder()
    let place = try place("layers.0.attention.wk.weight")
    for shard in 0..<2 {
      let path = try model.write(to: folder, "without \(shard)", shards: 2) { $0[shard].remove(at: place) }
      expect(.missing, naming: "layers.0.attention.wk.weight", MetaModel.shardName(shard), in: path)
    }
  }

  @Test func aNormThatDiffersBetweenShardsIsRefusedWhenItIsRead() throws {
    let folder = try TemporaryFolder()
    let place = try place("layers.1.ffn_norm.weight")
    let path = try written(folder, shards: 4) { $0[2][place].bytes[11] ^= 1 }
    expect(.duplicate, naming: "layers.1.ffn_norm.weight", "consolidated.02.pth", "element 5", in: path)
  }

  @Test func aCopyOfAKeyValueHeadThatDiffersIsRefusedWhenItIsRead() throws {
    let folder = try TemporaryFolder()
    var model = model
    model.keyValueCopies = 2
    let place = try place("layers.0.attention.wv.weight")
    let path = try model.write(to: folder, shards: 4) { $0[3][place].bytes[6] ^= 1 }
    expect(.duplicate, naming: "layers.0.attention.wv.weight", "consolidated.03.pth", "element 3", in: path)
  }

  @Test(arguments: [0, 1, 30, 500, -1, -1000]) func aTruncatedShardIsNamed(_ size: Int) throws {
    let folder = try TemporaryFolder()
    let path = try written(folder, shards: 2)
    let bytes = MetaModel.file(model.shards(2)[1])
    try folder.write("model/consolidated.01.pth", Array(bytes.prefix(size < 0 ? bytes.count + size : size)))
    #expect {
      try read(path)
    } throws: {
      guard let error = $0 as? InputError else { return false }
      return [.truncated, .zip, .magic].contains(error.code) && error.file?.hasSuffix("consolidated.01.pth") == true
    }
  }

  @Test func aFlippedBitInAShardIsTold() throws {
    let folder = try TemporaryFolder()
    let path = try written(folder, shards: 2)
    var bytes = MetaModel.file(model.shards(2)[1])
    bytes[bytes.count / 2] ^= 4
    try folder.write("model/consolidated.01.pth", bytes)
    #expect { try read(path) } throws: { ($0 as? InputError)?.code == .checksum }
  }

  @Test func aPointerOfGitLFSIsNoShard() throws {
    let folder = try TemporaryFolder()
    let path = try written(folder, shards: 2)
    try folder.write("model/consolidated.01.pth", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    expect(.magic, naming: "git lfs pull", in: path)
  }

  @Test func aShardThatLeadsOutOfTheFolderIsNotRead() throws {
    let folder = try TemporaryFolder()
    let path = try written(folder, shards: 2)
    try folder.write("elsewhere.pth", MetaModel.file(model.shards(2)[1]))
    try folder.remove("model/consolidated.01.pth")
    try folder.makeLink("model/consolidated.01.pth", to: folder.path("elsewhere.pth"))
    expect(.path, naming: "consolidated.01.pth", in: path)
  }

  @Test func originalThatLeadsOutOfTheFolderIsNotRead() throws {
    let folder = try TemporaryFolder()
    try model.write(to: folder, "elsewhere")
    try folder.makeFolder("model")
    try folder.makeLink("model/original", to: folder.path("elsewhere"))
    #expect { try Checkpoint(opening: folder.path("model")) } throws: { ($0 as? InputError)?.code == .path }
  }

  @Test func shardsWithoutParametersAreMissingThem() throws {
    let folder = try TemporaryFolder()
    let path = try written(folder)
    try folder.remove("model/params.json")
    expect(.missing, naming: "params.json", in: path)
  }

  @Test func parametersThatAreNoJSONAreRefused() throws {
    let folder = try TemporaryFolder()
    let path = try written(folder)
    try folder.write("model/params.json", "dim=64")
    #expect { try read(path) } throws: { ($0 as? InputError)?.code == .json }
  }

  @Test func weightsInFP8WithScalesApartAreUnsupported() throws {
    let folder = try TemporaryFolder()
    let path = try written(folder)
    try folder.write("model/fp8_scales_0.pt", [1])
    expect(.unsupported, naming: "FP8", in: path)
  }

  @Test(
    arguments: [
      ("vision_model.text_projection.weight", .unsupported),
      ("layers.0.feed_forward.experts.0.w1.weight", .unsupported),
      ("layers.0.attention.wq.lora_A.weight", .unsupported), ("layers.0.attention.wq.bias", .name), ("w", .name),
      ("layers.0.attention.wq", .name), ("attention.wqq.weight", .name),
    ] as [(String, InputError.Code)])
  func aTensorThatNoLlamaHasIsRefusedByName(_ name: String, _ code: InputError.Code) throws {
    let folder = try TemporaryFolder()
    let path = try written(folder, shards: 2) {
      for shard in 0..<2 { $0[shard].append(MetaModel.Part(name, [2, 2], bytes: [UInt8](repeating: 0, count: 8))) }
    }
    expect(code, naming: name, in: path)
  }

  @Test func aMatrixThatIsAVectorIsRefused() throws {
    let folder = try TemporaryFolder()
    let place = try place("output.weight")
    let path = try written(folder, shards: 2) {
      for shard in 0..<2 { $0[shard][place].shape = [32 * 64] }
    }
    expect(.shape, naming: "output.weight", "a matrix expected", in: path)
  }
}

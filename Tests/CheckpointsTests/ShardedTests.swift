import Bytes
import Checkpoints
import Tensors
import TestSupport
import Testing

@Suite struct ShardedTests {
  private func shard(_ names: [String], _ value: UInt8 = 1) -> [UInt8] {
    SafetensorsBytes.file(names.map { .init($0, "U8", [2, 2], [value, 2, 3, 4]) })
  }

  private func index(_ map: [(String, String)]) -> String {
    let members = map.map { "\"\($0)\":\"\($1)\"" }.joined(separator: ",")
    return "{\"metadata\":{\"total_size\":12},\"weight_map\":{\(members)}}"
  }

  private static let indexName = "model.safetensors.index.json"

  @Test func shardsComeByFileNameAndTensorsByTheirs() throws {
    let folder = try TemporaryFolder()
    try folder.write("model-00002-of-00002.safetensors", shard(["a", "b10", "b2"]))
    try folder.write("model-00001-of-00002.safetensors", shard(["z", "lm_head"]))
    try folder.write(
      ShardedTests.indexName,
      index([
        ("a", "model-00002-of-00002.safetensors"), ("b2", "model-00002-of-00002.safetensors"),
        ("z", "model-00001-of-00002.safetensors"), ("b10", "model-00002-of-00002.safetensors"),
        ("lm_head", "model-00001-of-00002.safetensors"),
      ]))
    for path in [folder.path, folder.path + "/", folder.path(ShardedTests.indexName)] {
      let checkpoint = try Checkpoint(opening: path)
      #expect(checkpoint.tensors.map(\.name) == ["lm_head", "z", "a", "b10", "b2"])
      #expect(checkpoint.totalBytes == 20)
      #expect(checkpoint.inputFiles.count == 2)
      #expect(checkpoint.config == nil)
    }
  }

  @Test func allShardsWithoutAnIndexAreAModel() throws {
    let folder = try TemporaryFolder()
    try folder.write("model-00001-of-00002.safetensors", shard(["a"]))
    #expect { try Checkpoint(opening: folder.path) } throws: { ($0 as? InputError)?.code == .missing }
    try folder.write("model-00002-of-00002.safetensors", shard(["b"]))
    #expect(try Checkpoint(opening: folder.path).tensors.map(\.name) == ["a", "b"])
    try folder.write("model-00002-of-00002.safetensors", shard(["a"]))
    #expect { try Checkpoint(opening: folder.path) } throws: { ($0 as? InputError)?.code == .duplicate }
  }

  @Test(arguments: [
    (42, "../../etc/passwd"), (42, "a/../../b.safetensors"), (43, "/etc/passwd"), (44, "a\\u0000.safetensors"),
    (42, ".."), (42, "."), (42, ""), (42, "a//b"), (42, "./a"), (45, "link.safetensors"), (45, "fifo.safetensors"),
    (45, "folder.safetensors"), (45, "device.safetensors"), (45, "circle.safetensors"), (45, "folder/link"),
  ]) func aNameNeverLeadsOut(_ number: Int, _ name: String) throws {
    let folder = try TemporaryFolder()
    let outside = try TemporaryFolder()
    try outside.write("model.safetensors", shard(["w"]))
    try folder.makeLink("link.safetensors", to: outside.path("model.safetensors"))
    try folder.makeLink("folder", to: outside.path)
    try outside.makeLink("link", to: "model.safetensors")
    try folder.makeFIFO("fifo.safetensors")
    try folder.makeFolder("folder.safetensors")
    try folder.makeLink("device.safetensors", to: "/dev/zero")
    try folder.makeLink("circle.safetensors", to: "circle.safetensors")
    try folder.write(ShardedTests.indexName, index([("w", name)]))
    #expect { try Checkpoint(opening: folder.path) } throws: { ($0 as? InputError)?.code == .path }
  }

  @Test(arguments: ["fifo", "folder", "device"]) func case45AppliesToTheSingleFileToo(_ kind: String) throws {
    let folder = try TemporaryFolder()
    switch kind {
    case "fifo": try folder.makeFIFO("model.safetensors")
    case "folder": try folder.makeFolder("model.safetensors")
    default: try folder.makeLink("model.safetensors", to: "/dev/zero")
    }
    #expect { try Checkpoint(opening: folder.path) } throws: { ($0 as? InputError)?.code == .path }
    if kind != "folder" {
      #expect { try Checkpoint(opening: folder.path("model.safetensors")) } throws: {
        ($0 as? InputError)?.code == .path
      }
    }
  }

  @Test func linksWithinTheFolderAreFollowed() throws {
    let folder = try TemporaryFolder()
    try folder.write("parts/one.bin", shard(["w"]))
    try folder.makeLink("model.safetensors", to: "parts/one.bin")
    #expect(try Checkpoint(opening: folder.path).tensors.count == 1)
  }

  @Test func theLinksOfAHuggingFaceCacheAreFollowed() throws {
    let cache = try TemporaryFolder()
    try cache.write("models--a--b/blobs/0123abcd", shard(["w"], 5))
    try cache.write("models--a--b/blobs/config", #"{"hidden_size":2}"#)
    try cache.write("models--a--b/refs/main", "f00d")
    try cache.makeFolder("models--a--b/snapshots/f00d")
    try cache.makeLink("models--a--b/snapshots/f00d/model.safetensors", to: "../../blobs/0123abcd")
    try cache.makeLink("models--a--b/snapshots/f00d/config.json", to: "../../blobs/config")
    let checkpoint = try Checkpoint(opening: cache.path("models--a--b/snapshots/f00d"))
    #expect(try checkpoint.tensors[0].read(rows: 0..<1) == [5, 2])
    #expect(checkpoint.config != nil)

    try cache.makeLink("models--a--b/snapshots/f00d/generation_config.json", to: "../../refs/main")
    #expect { try Checkpoint(opening: cache.path("models--a--b/snapshots/f00d")) } throws: {
      ($0 as? InputError)?.code == .path
    }
  }

  @Test func case46NamesWhatIsMissing() throws {
    let folder = try TemporaryFolder()
    try folder.write("a.safetensors", shard(["w"]))
    try folder.write(ShardedTests.indexName, index([("w", "a.safetensors"), ("v", "b.safetensors")]))
    #expect { try Checkpoint(opening: folder.path) } throws: {
      ($0 as? InputError)?.code == .missing && "\($0)".contains("b.safetensors")
    }
    try folder.write("b.safetensors", shard(["u"]))
    #expect { try Checkpoint(opening: folder.path) } throws: {
      ($0 as? InputError)?.code == .missing && ($0 as? InputError)?.subject == "v"
    }
    try folder.write("b.safetensors", shard(["u", "v"]))
    #expect { try Checkpoint(opening: folder.path) } throws: {
      ($0 as? InputError)?.code == .missing && ($0 as? InputError)?.subject == "u"
    }
  }

  @Test func case47TellsTensorsThatStandTwiceOrElsewhere() throws {
    let folder = try TemporaryFolder()
    try folder.write("a.safetensors", shard(["w"]))
    try folder.write("b.safetensors", shard(["v", "w"]))
    try folder.write(ShardedTests.indexName, index([("w", "a.safetensors"), ("v", "b.safetensors")]))
    #expect { try Checkpoint(opening: folder.path) } throws: {
      ($0 as? InputError)?.code == .duplicate && ($0 as? InputError)?.subject == "w"
    }
    try folder.write("b.safetensors", shard(["v"]))
    try folder.write(ShardedTests.indexName, index([("w", "b.safetensors"), ("v", "a.safetensors")]))
    #expect { try Checkpoint(opening: folder.path) } throws: {
      ($0 as? InputError)?.code == .missing && "\($0)".contains("it is in")
    }
  }

  @Test(arguments: [
    (48, "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "git lfs pull"),
    (49, "<html><body>404</body></html>", "download the file again"),
  ]) func aShardThatIsNotThereHasARemedy(_ number: Int, _ text: String, _ remedy: String) throws {
    let folder = try TemporaryFolder()
    try folder.write("a.safetensors", text)
    try folder.write(ShardedTests.indexName, index([("w", "a.safetensors")]))
    #expect { try Checkpoint(opening: folder.path) } throws: {
      ($0 as? InputError)?.code == .magic && ($0 as? InputError)?.remedy?.contains(remedy) == true
    }
  }

  @Test(arguments: [
    ("{}", InputError.Code.missing), ("[]", .type), ("{\"weight_map\":{}}", .missing),
    ("{\"weight_map\":[]}", .missing),
    ("{\"weight_map\":{\"w\":1}}", .type), ("{\"weight_map\":{\"w\":\"a\",\"w\":\"b\"}}", .duplicate), ("{", .json),
  ]) func aBrokenIndexIsRefused(_ text: String, _ code: InputError.Code) throws {
    let folder = try TemporaryFolder()
    try folder.write(ShardedTests.indexName, text)
    #expect { try Checkpoint(opening: folder.path) } throws: { ($0 as? InputError)?.code == code }
  }

  @Test func twoModelsInOneFolderAreNotGuessedAt() throws {
    let folder = try TemporaryFolder()
    try folder.write("model.safetensors", shard(["w"]))
    try folder.write("a.safetensors", shard(["w"]))
    try folder.write(ShardedTests.indexName, index([("w", "a.safetensors")]))
    #expect { try Checkpoint(opening: folder.path) } throws: { ($0 as? InputError)?.code == .duplicate }
    #expect(try Checkpoint(opening: folder.path("model.safetensors")).tensors.count == 1)
    #expect(try Checkpoint(opening: folder.path(ShardedTests.indexName)).tensors.count == 1)
  }
}

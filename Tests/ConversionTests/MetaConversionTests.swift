import Bytes
import Checkpoints
import Conversion
import Crypto
import GGUF
import Quantization
import Tensors
import TestSupport
import Testing

/// Meta's form of a model gives the file that Hugging Face's form gives.
@Suite struct MetaConversionTests {
  private static let tiny = Fixtures.path("tiny-llama")

  /// The trained fixture in Meta's form, as the parts that a test may cut and change.
  static func tinyModel() throws -> MetaModel {
    let checkpoint = try Checkpoint(opening: tiny, layout: .meta)
    let parts = try checkpoint.tensors.map {
      MetaModel.Part($0.name, $0.shape.dimensions, bytes: try $0.read(rows: 0..<$0.rows))
    }
    return MetaModel(
      parts: parts,
      params: [
        ("dim", "256"), ("n_layers", "6"), ("n_heads", "8"), ("n_kv_heads", "4"), ("vocab_size", "4096"),
        ("multiple_of", "256"), ("ffn_dim_multiplier", "1.0"), ("norm_eps", "1e-05"), ("rope_theta", "500000.0"),
        ("use_scaled_rope", "false"),
      ])
  }

  private func addTokenizer(_ folder: TemporaryFolder, _ name: String) throws {
    let file = try RandomAccessFile(MetaConversionTests.tiny + "/original/tokenizer.model")
    try folder.write(name + "/tokenizer.model", file.readAll(limit: 1 << 20))
  }

  private func convert(
    _ input: ModelInput, _ type: String, _ folder: TemporaryFolder
  ) throws -> (file: GGUFFile, sha256: String) {
    let path = folder.path("\(type)-\(try folder.names().count).gguf")
    let plan = try ConversionPlan(input, recipe: Recipe(fileType: type))
    let result = try Converter(plan: plan, jobs: 2).run(into: OutputFile(path), checking: input)
    return (try GGUFFile(reading: path), result.sha256)
  }

  @Test(arguments: ["F16", "Q4_K_M"]) func everyFormAndEveryCutIsTheSameModel(_ type: String) throws {
    let folder = try TemporaryFolder()
    let reference = try convert(ModelInput(opening: MetaConversionTests.tiny), type, folder).file
    var model = try MetaConversionTests.tinyModel()
    var digests: Set<String> = []
    for (count, byColumns) in [(1, false), (2, false), (2, true), (8, false), (8, true)] {
      model.cutsEmbeddingByColumns = byColumns
      // All of one name, since the name of the folder is written into the file.
      let name = "\(count) \(byColumns)/tiny"
      try model.write(to: folder, name, shards: count)
      try addTokenizer(folder, name)
      let (file, digest) = try convert(ModelInput(opening: folder.path(name)), type, folder)
      digests.insert(digest)
      #expect(file.tensors.map(\.name) == reference.tensors.map(\.name))
      for (ours, theirs) in zip(file.tensors, reference.tensors) {
        #expect(ours.dtype == theirs.dtype && ours.shape == theirs.shape, "\(ours.name)")
        let same = try ours.read(rows: 0..<ours.rows) == theirs.read(rows: 0..<theirs.rows)
        #expect(same, "\(ours.name) from \(count) shards")
      }
    }
    #expect(digests.count == 1)
  }

  @Test func theFolderOriginalGivesTheNameOfTheModel() throws {
    let folder = try TemporaryFolder()
    let model = try MetaConversionTests.tinyModel()
    try model.write(to: folder, "Meta-Llama-3-8B/original", shards: 2)
    try addTokenizer(folder, "Meta-Llama-3-8B/original")
    for path in ["Meta-Llama-3-8B", "Meta-Llama-3-8B/original", "Meta-Llama-3-8B/original/consolidated.01.pth"] {
      let input = try ModelInput(opening: folder.path(path))
      #expect(input.metadata["general.name"]?.string == "Meta Llama 3 8B")
      #expect(input.tokenizer.vocabularySize == 4096)
      #expect(input.metadata["llama.context_length"] == .uint32(8192))
    }
  }

  /// Meta's downloads of Llama 1 and 2: SentencePiece above, the embedding cut by columns, a vocabulary of -1.
  @Test func aDownloadOfLlama2HasItsTokenizerAbove() throws {
    let folder = try TemporaryFolder()
    var model = try MetaConversionTests.tinyModel()
    let embedding = try #require(model.parts.firstIndex { $0.name == "tok_embeddings.weight" })
    let output = try #require(model.parts.firstIndex { $0.name == "output.weight" })
    for place in [embedding, output] {
      model.parts[place].shape[0] = 500
      model.parts[place].bytes.removeLast((4096 - 500) * 512)
    }
    model.cutsEmbeddingByColumns = true
    for key in ["rope_theta", "use_scaled_rope"] { model.set(key, nil) }
    model.set("vocab_size", "-1")
    try model.write(to: folder, "llama/llama-2-7b", shards: 2)
    try folder.write(
      "llama/tokenizer.model", RandomAccessFile(Fixtures.path("tokens/bpe.model")).readAll(limit: 1 << 20))
    let input = try ModelInput(opening: folder.path("llama/llama-2-7b"))
    #expect(input.metadata["tokenizer.ggml.model"]?.string == "llama")
    #expect(input.metadata["llama.vocab_size"] == .uint32(500))
    #expect(input.metadata["llama.context_length"] == .uint32(4096))
    #expect(input.metadata["llama.rope.freq_base"] == .float32(10000))
    #expect(input.model["token_embd.weight"]?.shape.dimensions == [500, 256])
  }

  @Test func aTokenizerAboveIsNotTakenFromAnotherModel() throws {
    let folder = try TemporaryFolder()
    try MetaConversionTests.tinyModel().write(to: folder, "models/llama")
    try addTokenizer(folder, "models")
    try folder.write("models/config.json", "{}")
    #expect { try ModelInput(opening: folder.path("models/llama")) } throws: { ($0 as? InputError)?.code == .missing }
  }

  @Test func aScaledModelHasTheFactorThatItsShapeOrTheUserSays() throws {
    let folder = try TemporaryFolder()
    var model = try MetaConversionTests.tinyModel()
    model.set("use_scaled_rope", "true")
    let path = try model.write(to: folder)
    try addTokenizer(folder, "model")
    for (factor, last) in [(nil, Float(8)), (8, 8), (32, 32)] as [(Double?, Float)] {
      let input = try ModelInput(opening: path, ModelInput.Options(ropeFactor: factor))
      let divisors = try #require(input.model["rope_freqs.weight"]).read(rows: 0..<1)
      let bits = divisors.suffix(4).reversed().reduce(0 as UInt32) { $0 << 8 | UInt32($1) }
      #expect(Float(bitPattern: bits) == last)
      #expect(input.notes.contains { $0.contains("--rope-factor") } == (factor == nil))
    }
  }

  @Test func aRopeFactorThatNothingTakesIsRefused() throws {
    let folder = try TemporaryFolder()
    let options = ModelInput.Options(ropeFactor: 32)
    let gguf = folder.path("a.gguf")
    let input = try ModelInput(opening: MetaConversionTests.tiny)
    let plan = try ConversionPlan(input, recipe: Recipe(fileType: "Q8_0"))
    _ = try Converter(plan: plan, jobs: 1).run(into: OutputFile(gguf), checking: input)
    for path in [MetaConversionTests.tiny, MetaConversionTests.tiny + "/original", gguf] {
      #expect { try ModelInput(opening: path, options) } throws: { ($0 as? InputError)?.code == .unsupported }
    }
    #expect { try ModelInput(opening: gguf, ModelInput.Options(layout: .meta)) } throws: {
      ($0 as? InputError)?.code == .unsupported
    }
  }

  /// Whatever params.json says, the shards are not trusted to agree with it.
  @Test(arguments: ["dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "multiple_of"])
  func wrongParametersAreAnErrorAndNeverMore(_ key: String) throws {
    let folder = try TemporaryFolder()
    var model = MetaModel.small
    for json in ["0", "1", "3", "7", "63", "65", "128", "1000", "16777216", "-5", "1e3", "null", "[]", "{}", "\"4\""] {
      if key == "vocab_size", json == "null" { continue }  // then it is what the embedding has
      if key == "n_kv_heads", json == "1" { continue }  // the next test
      model.set(key, json)
      let path = try model.write(to: folder, "\(key) \(json.utf8.count) \(json.hashValue)", shards: 4)
      #expect("\(key) \(json)") { try ModelInput(opening: path) } throws: {
        guard let error = $0 as? InputError else { return false }
        return error.remedy != nil && error.file?.hasSuffix("params.json") == true
      }
    }
  }

  /// With half as many heads as there are, every second shard would have to be a copy.
  @Test func tooFewKeyValueHeadsAreToldByTheShardsThatDiffer() throws {
    let folder = try TemporaryFolder()
    var model = MetaModel.small
    model.set("n_kv_heads", "1")
    let checkpoint = try Checkpoint(opening: model.write(to: folder, shards: 4))
    let tensor = try #require(checkpoint.tensors.first { $0.name == "layers.0.attention.wk.weight" })
    #expect { try tensor.read(rows: 0..<tensor.rows) } throws: { ($0 as? InputError)?.code == .duplicate }
  }

  /// Llama 3.2 has the embedding twice in Meta's files and once in Hugging Face's.
  @Test(arguments: [nil, 0, 5000, 8191]) func anOutputThatIsTheEmbeddingIsLeftOut(_ differing: Int?) throws {
    let folder = try TemporaryFolder()
    var model = MetaModel.small
    let output = try #require(model.parts.firstIndex { $0.name == "output.weight" })
    model.parts[output].bytes = model.parts[0].bytes
    if let differing { model.parts[output].bytes[differing] ^= 1 }
    for count in [1, 2] {
      let checkpoint = try Checkpoint(opening: model.write(to: folder, "\(count)", shards: count))
      let (tensors, isTied) = try ModelInput.untied(checkpoint.tensors)
      #expect(isTied == (differing == nil))
      #expect(tensors.count == checkpoint.tensors.count - (isTied ? 1 : 0))
      #expect(tensors.contains { $0.name == "output.weight" } != isTied)
    }
  }
}

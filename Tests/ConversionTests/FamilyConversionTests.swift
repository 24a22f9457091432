import Bytes
import Conversion
import Crypto
import Models
import Quantization
import Tensors
import TestSupport
import Testing

/// Checkpoints of every family, computed from their tensors' names, beside what llama.cpp's tools made of them;
/// `fixtures/families/README.md` says how that was recorded.
@Suite struct FamilyConversionTests {
  struct Family {
    let record: JSONValue
    /// Name and shape.
    let checkpoint: [(name: String, shape: [Int])]

    init(_ name: String) throws {
      record = try JSONDocument(reading: Fixtures.path("families/\(name).json"), limit: 1 << 20).root
      checkpoint = try record.required("checkpoint").members().map {
        (try $0.key.string(), try $0.value.elements().map { try $0.int() })
      }
    }

    func entries() -> [SafetensorsBytes.Entry] {
      checkpoint.map { SafetensorsBytes.Entry($0.name, "BF16", $0.shape, bytes($0.name, $0.shape.reduce(1, *))) }
    }

    /// `count` numbers in BF16 that follow from the name.
    private func bytes(_ name: String, _ count: Int) -> [UInt8] {
      var generator = SeededGenerator(
        seed: name.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 })
      var bytes: [UInt8] = []
      bytes.reserveCapacity(2 * count)
      for _ in 0..<count {
        let bits = generator.next() >> 48
        let value = bits & 0x807F | (0x78 + (bits >> 7 & 3)) << 7
        bytes += [UInt8(truncatingIfNeeded: value), UInt8(truncatingIfNeeded: value >> 8)]
      }
      return bytes
    }

    /// A model folder with `files` of weights.
    func folder(_ files: [(name: String, entries: [SafetensorsBytes.Entry])]) throws -> TemporaryFolder {
      let folder = try TemporaryFolder()
      try folder.write("model/config.json", record.required("config").string())
      for name in ["tokenizer.json", "tokenizer_config.json"] {
        try folder.write(
          "model/\(name)", RandomAccessFile(Fixtures.path("tiny-llama/\(name)")).readAll(limit: 1 << 20))
      }
      for (name, entries) in files { try folder.write("model/\(name)", SafetensorsBytes.file(entries)) }
      if files.count > 1 {
        let map = files.flatMap { file in file.entries.map { "\"\($0.name)\":\"\(file.name)\"" } }
        try folder.write(
          "model/model.safetensors.index.json", #"{"metadata":{},"weight_map":{\#(map.joined(separator: ","))}}"#)
      }
      return folder
    }
  }

  /// Converts and opens what came of it.
  private func converted(
    _ folder: TemporaryFolder, _ type: String, jobs: Int = 2
  ) throws -> (output: ModelInput, sha256: String) {
    let input = try ModelInput(opening: folder.path("model"))
    let plan = try ConversionPlan(input, recipe: Recipe(#require(FileType(name: type))))
    let output = try OutputFile(folder.path("\(type).gguf"), overwrites: true)
    let result = try Converter(plan: plan, jobs: jobs).run(into: output, checking: input)
    return (try ModelInput(opening: folder.path("\(type).gguf")), result.sha256)
  }

  static let recorded = [
    ("mixtral", "F16"), ("mixtral", "Q4_K_M"), ("mixtral", "Q3_K_M"), ("mistral", "F16"), ("mistral", "Q4_K_M"),
    ("llama3", "F16"), ("llama3", "Q4_K_M"), ("yarn", "F16"), ("yarn", "Q4_K_M"),
  ]

  @Test(arguments: recorded) func everyTensorIsTheIncumbentsToTheByte(_ name: String, _ type: String) throws {
    let family = try Family(name)
    let (output, _) = try converted(family.folder([("model.safetensors", family.entries())]), type)
    let expected = try family.record.required("types").required(type)
    #expect(output.model.tensors.count == expected.count)
    for tensor in output.model.tensors {
      let entry = try Array(expected.required(tensor.name).elements())
      #expect(try tensor.dtype.name == entry[0].string(), "\(tensor.name)")
      #expect(try tensor.shape.dimensions == entry[1].elements().map { try $0.int() }, "\(tensor.name)")
      let digest = SHA256.hash(data: try tensor.read(rows: 0..<tensor.rows))
      let digits = digest.prefix(8).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
      #expect(try digits == entry[2].string(), "\(tensor.name)")
    }
  }

  @Test(arguments: ["mixtral", "mistral", "llama3", "yarn"]) func everyKeyIsTheIncumbents(_ name: String) throws {
    let family = try Family(name)
    let folder = try family.folder([("model.safetensors", family.entries())])
    let metadata = try ModelInput(opening: folder.path("model")).metadata
    let expected = try family.record.required("keys")
    for (key, value) in try expected.members().map({ (try $0.key.string(), try Array($0.value.elements())) }) {
      let found = metadata[key]
      switch try value[0].string() {
      case "UINT32": #expect(try found == .uint32(UInt32(value[1].int())), "\(key)")
      case "FLOAT32": #expect(try found == .float32(Float(value[1].double())), "\(key)")
      case "STRING": #expect(try found == .string(value[1].string()), "\(key)")
      case let type: Issue.record("\(key) is \(type)")
      }
    }
    // Only the window is more than the incumbent writes.
    let own = metadata.keys.filter { $0.hasPrefix("llama.") && expected[$0] == nil }
    #expect(own == (name == "mistral" ? ["llama.attention.sliding_window"] : []))
  }

  @Test(arguments: ["Q4_K_M", "F16"]) func aMixtralIsTheSameFileFromAnyFormAndAtAnyJobs(_ type: String) throws {
    let family = try Family("mixtral")
    let entries = family.entries()
    let whole = try family.folder([("model.safetensors", entries)])
    let expected = try converted(whole, type).sha256
    for jobs in [1, 3, 8] { #expect(try converted(whole, type, jobs: jobs).sha256 == expected) }

    // A layer's experts lie in several shards.
    var shards: [[SafetensorsBytes.Entry]] = [[], [], []]
    for (index, entry) in entries.enumerated() { shards[index % 3].append(entry) }
    let files = shards.enumerated().map { ("model-0000\($0.offset + 1)-of-00003.safetensors", $0.element) }
    #expect(try converted(family.folder(files), type).sha256 == expected)

    #expect(try converted(family.folder([("model.safetensors", stacked(entries))]), type).sha256 == expected)
  }

  /// The same weights in the form that transformers 5 has in memory.
  private func stacked(_ entries: [SafetensorsBytes.Entry]) -> [SafetensorsBytes.Entry] {
    let byName = Dictionary(uniqueKeysWithValues: entries.map { ($0.name, $0) })
    var out = entries.filter { !$0.name.contains(".experts.") }
    for index in out.indices {
      out[index].name = out[index].name.split(separator: ".").map { $0 == "block_sparse_moe" ? "mlp" : String($0) }
        .joined(separator: ".")
    }
    for layer in 0..<2 {
      func matrix(_ expert: Int, _ part: String) -> [UInt8] {
        byName["model.layers.\(layer).block_sparse_moe.experts.\(expert).\(part).weight"]?.bytes ?? []
      }
      out.append(
        SafetensorsBytes.Entry(
          "model.layers.\(layer).mlp.experts.gate_up_proj", "BF16", [8, 512, 256],
          (0..<8).flatMap { matrix($0, "w1") + matrix($0, "w3") }))
      out.append(
        SafetensorsBytes.Entry(
          "model.layers.\(layer).mlp.experts.down_proj", "BF16", [8, 256, 256], (0..<8).flatMap { matrix($0, "w2") }))
    }
    return out
  }

  @Test func aMixtralIsWalkedAlikeFromItsCheckpointAndItsGGUF() throws {
    let family = try Family("mixtral")
    let folder = try family.folder([("model.safetensors", family.entries())])
    let text = try folder.write(
      "text",
      RandomAccessFile(Fixtures.path("text/python-docs-evaluate.txt")).readAll(limit: 1 << 20).prefix(4000).map(\.self))
    let gguf = try converted(folder, "F32").output
    let reports = try [ModelInput(opening: folder.path("model")), gguf].map { model in
      try PerplexityRun(
        model: model, text: TextFile(reading: text), options: WalkOptions(context: 128, chunks: 3, jobs: 2)
      )
      .run()
    }
    #expect(reports[0].perplexity == reports[1].perplexity)
    #expect(reports[0].perplexity.isFinite)
    #expect(reports[0].tokensScored == 3 * 63)
  }

  /// No weights lie in the folder: the refusal comes first.
  @Test(arguments: [
    (#"{"architectures":["Llama4ForConditionalGeneration"],"model_type":"llama4","vision_config":{}}"#, "Llama 4"),
    (#"{"architectures":["MllamaForConditionalGeneration"],"model_type":"mllama"}"#, "images"),
    (#"{"architectures":["Qwen2ForCausalLM"],"model_type":"qwen2"}"#, "Qwen2ForCausalLM"),
  ])
  func anotherFamilyIsRefusedBeforeAnyWeightIsOpened(_ config: String, _ names: String) throws {
    let folder = try TemporaryFolder()
    try folder.write("config.json", config)
    try folder.write("model.safetensors", "not read")
    let error = #expect(throws: InputError.self) { try ModelInput(opening: folder.path) }
    #expect(error?.code == .unsupported)
    #expect(error?.problem.contains(names) == true)
    #expect(error?.remedy?.contains("convert_hf_to_gguf.py") == true)
  }
}

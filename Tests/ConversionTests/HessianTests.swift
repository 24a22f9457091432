import Bytes
import Conversion
import Crypto
import GGUF
import Quantization
import Tensors
import TestSupport
import Testing

/// Hessians that are summed over a model, stored, added and rounded with.
@Suite struct HessianTests {
  /// A model and parts of a text, with room for what is made of them.
  private struct Bench {
    let folder: TemporaryFolder
    let input: ModelInput
    let context: Int
    var texts: [TextFile] = []

    /// - Parameter parts: of the text, in bytes.
    init(_ model: String, context: Int = 128, parts: [Range<Int>] = [0..<24_000]) throws {
      if model == "mixtral" {
        let family = try FamilyConversionTests.Family("mixtral")
        folder = try family.folder([("model.safetensors", family.entries())])
        input = try ModelInput(opening: folder.path("model"))
      } else {
        folder = try TemporaryFolder()
        input = try ModelInput(opening: Fixtures.path(model))
      }
      self.context = context
      let text = try RandomAccessFile(Fixtures.path("text/python-docs-calibrate.txt"))
      for (index, part) in parts.enumerated() {
        let path = try folder.write("part\(index).txt", text.read(at: part.lowerBound, count: part.count))
        texts.append(try TextFile(reading: path))
      }
    }

    @discardableResult
    func calibrate(
      _ name: String?, _ parts: Range<Int>? = nil, jobs: Int = 2, memory: Int = 1 << 30, overwrites: Bool = false
    ) throws -> ImportanceMatrix {
      try ImportanceRun(
        model: input, texts: Array(texts[parts ?? texts.indices]),
        options: WalkOptions(context: context, jobs: jobs, memory: memory), measuresOutput: true,
        hessians: name.map { (folder.path($0), overwrites) }
      ).run()
    }

    func convert(_ name: String, _ source: FeedbackSource, _ type: FileType = .q4_0) throws -> Converter.Written {
      var options = FeedbackOptions()
      options.isSequential = false
      return try Converter(
        plan: ConversionPlan(input, recipe: Recipe(type)), jobs: 2,
        rounding: Converter.Rounding(search: .thorough, feedback: (source, options))
      ).run(into: OutputFile(folder.path(name)), checking: input)
    }

    func files(_ name: String) throws -> [[UInt8]] {
      try (0..<input.model.parameters.layerCount).map {
        try RandomAccessFile(folder.path("\(name)/blk.\($0).gguf")).readAll(limit: 1 << 28)
      }
    }

    func stored(_ name: String) throws -> HessianFolder { try HessianFolder(reading: folder.path(name)) }
  }

  /// The chunks of a text that is used whole are those of a conversion that walks it.
  @Test(arguments: [("tiny-llama", FileType.q4_K_M), ("mixtral", .q4_0)])
  func storedHessiansGiveTheBytesOfTheTextThatTheyAreOf(_ model: String, _ type: FileType) throws {
    let bench = try Bench(model)
    try bench.calibrate("stored")
    let text = try CalibrationText(bench.texts, for: bench.input, tokens: 1 << 24, context: bench.context)
    let walked = try bench.convert("walked.gguf", .text(text), type)
    let stored = try bench.convert("stored.gguf", .stored(bench.stored("stored")), type)
    #expect(walked.sha256 == stored.sha256)
    #expect(walked.fallbacks == stored.fallbacks)
  }

  /// The importance matrix is the same with and without them too.
  @Test(arguments: ["tiny-llama", "mixtral"]) func theFilesDependOnNoThread(_ model: String) throws {
    let bench = try Bench(model)
    let matrices = try [("one", 1), ("three", 3)].map { try bench.calibrate($0, jobs: $1) }
    let without = try bench.calibrate(nil)
    #expect(try bench.files("one") == bench.files("three"))
    #expect(matrices[0].sums == without.sums && matrices[1].sums == without.sums)
  }

  /// Both are sums of the same squares, the one in F32, the other in F64.
  @Test(arguments: ["tiny-llama", "mixtral"]) func theDiagonalIsTheImportance(_ model: String) throws {
    let bench = try Bench(model)
    let matrix = try bench.calibrate("stored")
    var compared = 0
    for layer in 0..<bench.input.model.parameters.layerCount {
      let file = try GGUFFile(reading: bench.folder.path("stored/blk.\(layer).gguf"))
      guard case .uint64s(let tokens)? = file.metadata["hessian.tokens"] else {
        Issue.record("no tokens")
        return
      }
      #expect(file.tensors.count == tokens.count + 1)
      for (tensor, count) in zip(file.tensors, tokens) {
        let words = tensor.name.split(separator: ".")
        let expert = words.count == 6 ? try #require(Int(words[4])) : 0
        let sums = try #require(matrix.sums[ExactString(words[..<4].joined(separator: "."))])
        #expect(Float(count) == sums.counts[expert])
        let triangle = try Self.values(tensor)
        var at = 0
        for column in 0..<sums.columns {
          let square = sums.squares[expert * sums.columns + column]
          #expect(abs(triangle[at] - square) <= 1e-5 * square)
          at += sums.columns - column
        }
        #expect(at == triangle.count)
        compared += 1
      }
    }
    #expect(compared >= 4 * bench.input.model.parameters.layerCount)
  }

  /// Of every element: in F64, in the order given, rounded once.
  @Test(arguments: ["tiny-llama", "mixtral"]) func mergingAddsInOrder(_ model: String) throws {
    let bench = try Bench(model, parts: [0..<9000, 9000..<20_000, 30_000..<36_000])
    for part in 0..<3 { try bench.calibrate("part\(part)", part..<part + 1) }
    try bench.calibrate("whole")
    let merged = try HessianFolder.merge(
      (0..<3).map { try bench.stored("part\($0)") }, into: bench.folder.path("merged"), for: bench.input)
    try merged.check(against: bench.input)
    #expect(merged.texts.count == 3 && merged.texts[0].hasPrefix("part0.txt: "))
    for layer in 0..<bench.input.model.parameters.layerCount {
      func file(_ name: String) throws -> GGUFFile {
        try GGUFFile(reading: bench.folder.path("\(name)/blk.\(layer).gguf"))
      }
      func tokens(_ file: GGUFFile) -> [String: UInt64] {
        guard case .uint64s(let tokens)? = file.metadata["hessian.tokens"] else { return [:] }
        return Dictionary(uniqueKeysWithValues: zip(file.tensors.map(\.name), tokens))
      }
      let (parts, sum, whole) = (try (0..<3).map { try file("part\($0)") }, try file("merged"), try file("whole"))
      #expect(tokens(sum) == tokens(whole))
      for tensor in sum.tensors.dropLast() {
        var expected = [Double](repeating: 0, count: tensor.columns)
        for values in try parts.compactMap({ try $0.tensor(tensor.name).map(Self.values) }) {
          for (index, value) in values.enumerated() { expected[index] += Double(value) }
        }
        let found = try Self.values(tensor)
        #expect(found == expected.map { Float($0) })
        let reference = try Self.values(#require(whole.tensor(tensor.name)))
        let scale = reference.lazy.map(\.magnitude).max() ?? 0
        #expect(zip(found, reference).allSatisfy { abs($0 - $1) <= 1e-5 * scale }, "\(tensor.name)")
      }
    }
  }

  private static func values(_ tensor: Tensor) throws -> [Float] {
    let bytes = try tensor.read(rows: 0..<tensor.rows)
    return stride(from: 0, to: bytes.count, by: 4).map { at in
      Float(bitPattern: (0..<4).reduce(0) { $0 | UInt32(bytes[at + $1]) << (8 * $1) })
    }
  }

  @Test func blocksThatAreAddedAlreadyStay() throws {
    let bench = try Bench("tiny-llama", parts: [0..<9000, 9000..<20_000])
    for part in 0..<2 { try bench.calibrate("part\(part)", part..<part + 1) }
    let parts = try (0..<2).map { try bench.stored("part\($0)") }
    let path = bench.folder.path("merged")
    _ = try HessianFolder.merge(parts, into: path, for: bench.input)
    let files = try bench.files("merged")
    // As a run that was killed leaves it; what is there is not made again.
    try bench.folder.remove("merged/blk.3.gguf")
    var kept = files[1]
    kept[kept.count - 64] ^= 1
    try bench.folder.write("merged/blk.1.gguf", kept)
    _ = try HessianFolder.merge(parts, into: path, for: bench.input)
    let again = try bench.files("merged")
    #expect(again[3] == files[3] && again[1] == kept && again[0] == files[0])
  }

  /// The same text again goes on, whatever it left; another one asks first.
  @Test func filesOfAnotherTextAreNotReplaced() throws {
    let bench = try Bench("tiny-llama", parts: [0..<9000, 9000..<20_000])
    try bench.calibrate("stored", 0..<1)
    let files = try bench.files("stored")
    try bench.folder.remove("stored/blk.4.gguf")
    try bench.calibrate("stored", 0..<1)
    #expect(try bench.files("stored") == files)
    let error = #expect(throws: InputError.self) { try bench.calibrate("stored", 1..<2) }
    #expect(error?.code == .path && error?.file?.hasSuffix("stored/blk.0.gguf") == true)
    #expect(try bench.files("stored") == files)
    try bench.calibrate("stored", 1..<2, overwrites: true)
    #expect(try bench.files("stored") != files)
  }

  @Test func aTextTwiceIsRefused() throws {
    let bench = try Bench("tiny-llama")
    try bench.calibrate("stored")
    let error = #expect(throws: InputError.self) {
      try HessianFolder.merge(
        [bench.stored("stored"), bench.stored("stored")], into: bench.folder.path("merged"), for: bench.input)
    }
    #expect(error?.code == .duplicate && error?.subject?.contains("part0.txt") == true)
  }

  /// Weights decide, not files: a GGUF of the same numbers is the same model.
  @Test func anotherModelsAreRefused() throws {
    let bench = try Bench("tiny-llama")
    try bench.calibrate("stored")
    for (type, isSame) in [(FileType.bf16, true), (.q8_0, false)] {
      let path = bench.folder.path("model-\(type).gguf")
      _ = try Converter(plan: ConversionPlan(bench.input, recipe: Recipe(type)), jobs: 2)
        .run(into: OutputFile(path), checking: bench.input)
      let other = try ModelInput(opening: path)
      if isSame {
        try bench.stored("stored").check(against: other)
      } else {
        let error = #expect(throws: InputError.self) { try bench.stored("stored").check(against: other) }
        #expect(error?.code == .checksum && error?.subject == path)
      }
    }
  }

  @Test func moreTextThanMemoryHoldsIsRefusedBeforeAnythingIsWritten() throws {
    let bench = try Bench("tiny-llama", parts: [0..<250_000])
    let error = #expect(throws: InputError.self) { try bench.calibrate("stored", memory: 64 << 20) }
    #expect(error?.code == .limit && error?.remedy?.contains("--merge-hessian") == true)
    #expect(try bench.folder.names() == ["part0.txt"])
  }

  @Test func onlyTheBlocksThatAreAskedForAreAdded() throws {
    let bench = try Bench("tiny-llama", parts: [0..<9000, 9000..<20_000])
    for part in 0..<2 { try bench.calibrate("part\(part)", part..<part + 1) }
    let parts = try (0..<2).map { try bench.stored("part\($0)") }
    try bench.folder.remove("part1/blk.3.gguf")
    _ = try HessianFolder.merge(parts, into: bench.folder.path("some"), for: bench.input, layers: 4..<6)
    #expect(try SystemCalls.entries(of: bench.folder.path("some")) == ["blk.4.gguf", "blk.5.gguf"])
    let error = #expect(throws: InputError.self) {
      try HessianFolder.merge(parts, into: bench.folder.path("all"), for: bench.input)
    }
    #expect(error?.code == .missing && error?.file == bench.folder.path("part1/blk.3.gguf"))
  }

  @Test func aFlippedBitAnywhereIsRefused() throws {
    let bench = try Bench("tiny-llama", parts: [0..<9000])
    try bench.calibrate("stored")
    let path = bench.folder.path("stored/blk.1.gguf")
    let bytes = try bench.files("stored")[1]
    let (start, end) = (try GGUFFile(reading: path).dataOffset, bytes.count)
    let seed = UInt64.random(in: .min ... .max)
    var generator = SeededGenerator(seed: seed)
    let data = (0..<100).map { _ in Int.random(in: start..<end, using: &generator) }
    for place in Array(stride(from: 0, to: start, by: 7)) + data + Array(end - 32..<end) {
      var damaged = bytes
      damaged[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
      try bench.folder.write("stored/blk.1.gguf", damaged)
      let error = #expect(throws: InputError.self, "byte \(place), seed \(seed)") {
        try HessianFolder.merge(
          [bench.stored("stored")], into: bench.folder.path("sum"), for: bench.input, layers: 1..<2)
      }
      #expect(error?.file == path && error?.remedy != nil, "byte \(place), seed \(seed): \(error?.description ?? "")")
    }
    try bench.folder.write("stored/blk.1.gguf", bytes)
    _ = try HessianFolder.merge(
      [bench.stored("stored")], into: bench.folder.path("sum"), for: bench.input, layers: 1..<2)
  }

  /// Only the digest tells of it: the number stays finite.
  @Test func whatADamagedBlockIsRefusedWith() throws {
    let bench = try Bench("tiny-llama", parts: [0..<9000])
    try bench.calibrate("stored")
    var bytes = try bench.files("stored")[4]
    let expected = hexadecimal(bytes.suffix(32))
    bytes[bytes.count - 64] ^= 1
    let found = hexadecimal(Array(SHA256.hash(data: bytes.dropLast(32))))
    let path = try bench.folder.write("stored/blk.4.gguf", bytes)
    let stored = try bench.stored("stored")
    try stored.check(against: bench.input)
    let error = #expect(throws: InputError.self) { try bench.convert("out.gguf", .stored(stored)) }
    #expect(
      error?.description
        == "\(path): \"block 4\": SHA-256 \(expected) expected, \(found) found; the file is damaged: remove it, and run again what wrote it [CRC]"
    )
  }

  private func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  /// What is done to a file of block 1, and the law that it breaks.
  private static let damages: [(code: InputError.Code, subject: String?, change: @Sendable (inout Damaged) -> Void)] = [
    (.missing, nil, { $0.isMissing = true }),
    (.type, nil, { $0.metadata["general.type"] = .string("imatrix") }),
    (.version, nil, { $0.metadata["hessian.version"] = .uint32(2) }),
    (.missing, "hessian.model", { $0.metadata["hessian.model"] = nil }),
    (.checksum, nil, { $0.metadata["hessian.model"] = .string("0") }),
    (.checksum, nil, { $0.metadata["hessian.slices"] = .strings(["0"]) }),
    (.shape, "hessian.texts", { $0.metadata["hessian.texts"] = .strings([]) }),
    (.shape, "hessian.texts", { $0.metadata["hessian.layer_count"] = .int32(-1) }),
    (.checksum, nil, { $0.metadata["hessian.layer"] = .uint32(2) }),
    (.missing, nil, { $0.metadata["hessian.layer"] = .uint32(6) }),
    (.missing, nil, { $0.metadata["hessian.tokens"] = .uint64s([1]) }),
    (.overflow, nil, { $0.metadata["hessian.tokens"] = .uint64s([1, 1, 1, .max]) }),
    (.missing, "sha256", { $0.hasDigest = false }),
    (.checksum, "block 1", { $0.digest[31] ^= 1 }),
    (.missing, "blk.1.attn_q.weight.hessian", { $0.drop(0) }),
    (.name, "blk.1.attn_k.weight.hessian", { $0.tensors.append(("blk.1.attn_k.weight.hessian", [0])) }),
    (.shape, "blk.1.attn_q.weight.hessian", { $0.tensors[0].values.removeLast() }),
    (.nonFinite, "blk.1.ffn_down.weight.hessian", { $0.tensors[3].values[1000] = .nan }),
    (.nonFinite, "blk.1.attn_q.weight.hessian", { $0.tensors[0].values[32_895] = .infinity }),
    (.nonFinite, "blk.1.attn_q.weight.hessian", { $0.tensors[0].values[256] = -1 }),
  ]

  /// A file of Hessians, taken apart.
  private struct Damaged {
    var metadata: Metadata
    var tensors: [(name: String, values: [Float])]
    var isMissing = false
    var hasDigest = true
    /// Flips bits of what the file's digest is.
    var digest = [UInt8](repeating: 0, count: 32)

    mutating func drop(_ index: Int) {
      tensors.remove(at: index)
      metadata["hessian.tokens"] = .uint64s(Array(repeating: 1024, count: tensors.count))
    }
  }

  @Test(arguments: damages.indices) func damagedFilesAreRefusedByName(_ index: Int) throws {
    let bench = try Bench("tiny-llama", parts: [0..<9000])
    try bench.calibrate("stored")
    let (code, subject, change) = HessianTests.damages[index]
    let path = bench.folder.path("stored/blk.1.gguf")
    let file = try GGUFFile(reading: path)
    var damaged = Damaged(
      metadata: file.metadata, tensors: try file.tensors.dropLast().map { ($0.name, try HessianTests.values($0)) })
    change(&damaged)
    if damaged.tensors.count > file.tensors.count - 1 {
      damaged.metadata["hessian.tokens"] = .uint64s(Array(repeating: 1024, count: damaged.tensors.count))
    }
    try bench.folder.remove("stored/blk.1.gguf")
    if !damaged.isMissing {
      let output = try OutputFile(path)
      let writer = try GGUFWriter(
        GGUFLayout(
          metadata: damaged.metadata,
          tensors: damaged.tensors.map { ($0.name, DType.f32, try Shape([$0.values.count])) }
            + (damaged.hasDigest ? [("sha256", .i8, try Shape([32]))] : [])), to: output)
      for (number, tensor) in damaged.tensors.enumerated() {
        try unsafe writer.write(tensor.values.span.bytes, tensor: number)
      }
      if damaged.hasDigest {
        var hash = SHA256()
        try unsafe output.read(0..<writer.layout.fileSize - 32) { unsafe hash.update(bufferPointer: $0) }
        let digest = zip(hash.finalize(), damaged.digest).map { $0 ^ $1 }
        try unsafe writer.write(digest.span.bytes, tensor: damaged.tensors.count)
      }
      try output.publish()
    }
    let error = #expect(throws: InputError.self) {
      let stored = try bench.stored("stored")
      try stored.check(against: bench.input)
      _ = try bench.convert("out.gguf", .stored(stored), .q4_K_M)
    }
    #expect(
      error?.code == code && error?.file == path && error?.subject == subject, "\(error.map(\.description) ?? "")")
    #expect(error?.remedy != nil)
    #expect(!(try bench.folder.names().contains("out.gguf")))
  }
}

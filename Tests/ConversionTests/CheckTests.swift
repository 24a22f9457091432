import Bytes
import Conversion
import GGUF
import Quantization
import Tensors
import TestSupport
import Testing

/// `FileCheck` on the tiny model, whole and with one thing wrong at a time.
@Suite struct CheckTests {
  /// A GGUF taken apart, to be changed and written again.
  struct Parts {
    typealias Part = (name: String, dtype: DType, shape: Shape, bytes: [UInt8])

    var metadata: Metadata
    var tensors: [Part]

    init(_ path: String) throws {
      let file = try GGUFFile(reading: path)
      metadata = file.metadata
      tensors = try file.tensors.map { ($0.name, $0.dtype, $0.shape, try $0.read(rows: 0..<$0.rows)) }
    }

    func write(_ path: String) throws {
      let file = try OutputFile(path, overwrites: true)
      let layout = try GGUFLayout(metadata: metadata, tensors: tensors.map { ($0.name, $0.dtype, $0.shape) })
      let writer = try GGUFWriter(layout, to: file)
      for (index, tensor) in tensors.enumerated() {
        try unsafe writer.write(tensor.bytes.span.bytes, tensor: index)
      }
      try file.publish()
    }

    subscript(name: String) -> Part {
      get { tensors.first { $0.name == name }! }
      set { tensors[tensors.firstIndex { $0.name == name }!] = newValue }
    }
  }

  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private var path: String { folder.path("model.gguf") }

  /// The tiny model as `type`, in one file or in several.
  private func model(_ type: FileType = .q4_K_M, limits: SplitLimits = .none) throws -> [String] {
    let input = try ModelInput(opening: Fixtures.path("tiny-llama"))
    let plan = try ConversionPlan(input, recipe: Recipe(type), limits: limits)
    let output = try OutputSet(path, plan.layouts)
    let made = try Converter(plans: [plan], jobs: 2).run(into: [.init(output)], checking: input)
    return try made[0].get().files.map(\.path)
  }

  private func changed(_ change: (inout Parts) throws -> Void) throws -> String {
    var parts = try Parts(model()[0])
    try change(&parts)
    try parts.write(path)
    return path
  }

  private func check(_ path: String, for consumer: FileCheck.Consumer? = nil) throws -> CheckReport {
    try FileCheck(of: path, for: consumer).run(jobs: 2)
  }

  static let consumers: [FileCheck.Consumer?] = [nil, .llamaCpp, .ollama]

  @Test(arguments: consumers, [nil, 20])
  func whatQuernWritesIsSound(for consumer: FileCheck.Consumer?, tensorsInFile: Int?) throws {
    let files = try model(limits: SplitLimits(maximumTensors: tensorsInFile))
    let report = try FileCheck(
      of: files[0], for: consumer, against: ModelInput(opening: Fixtures.path("tiny-llama"))
    ).run(jobs: 2)
    #expect(report.passed, "\(report.text)")
    #expect(report.tensors == 57 && report.files.map(\.path) == files)
    for file in report.files { #expect(try file.sha256 == digest(file.path)) }
  }

  @Test(arguments: 1...3) func theReportIsTheSameAtAnyNumberOfThreads(jobs: Int) throws {
    let path = try changed { $0["output_norm.weight"].bytes.replaceSubrange(0..<4, with: [0, 0, 0x80, 0x7F]) }
    #expect(try FileCheck(of: path).run(jobs: jobs).json.text() == FileCheck(of: path).run(jobs: 1).json.text())
  }

  struct Fault: CustomTestStringConvertible, Sendable {
    let rule: Finding.Rule
    let subject: String
    let consumer: FileCheck.Consumer?
    let change: @Sendable (inout Parts) throws -> Void
    var testDescription: String { "\(rule.rawValue) \(subject)" }

    init(
      _ rule: Finding.Rule, _ subject: String, for consumer: FileCheck.Consumer? = nil,
      _ change: @escaping @Sendable (inout Parts) throws -> Void
    ) { (self.rule, self.subject, self.consumer, self.change) = (rule, subject, consumer, change) }

    static func set(
      _ rule: Finding.Rule, _ key: String, _ value: MetadataValue?, for consumer: FileCheck.Consumer? = nil
    ) -> Fault { Fault(rule, key, for: consumer) { $0.metadata[key] = value } }
  }

  static let faults: [Fault] = [
    Fault(.finite, "blk.1.attn_v.weight") { $0["blk.1.attn_v.weight"].bytes[144 * 7 + 1] = 0x7C },
    Fault(.finite, "output_norm.weight") { $0["output_norm.weight"].bytes[8..<12] = [0, 0, 0x80, 0xFF] },
    Fault(.model, "blk.3.ffn_up.weight") { parts in parts.tensors.removeAll { $0.name == "blk.3.ffn_up.weight" } },
    .set(.model, "llama.block_count", nil),
    .set(.tokenizer, "tokenizer.ggml.pre", .string("unheard-of")),
    .set(.llamaKey, "llama.block_count", .int32(6), for: .llamaCpp),
    .set(.llamaKey, "general.architecture", .string("llamb"), for: .llamaCpp),
    .set(.llamaTokenizer, "tokenizer.ggml.merges", nil, for: .llamaCpp),
    .set(.llamaTokenizer, "tokenizer.ggml.bos_token_id", .uint32(4096), for: .ollama),
    Fault(.llamaTensor, "more", for: .llamaCpp) { $0.tensors.append(("more", .f32, try Shape([1]), [0, 0, 0, 0])) },
    Fault(.llamaTensor, "blk.0.ffn_down.weight", for: .llamaCpp) { parts in
      parts["blk.0.ffn_down.weight"].shape = try Shape(parts["blk.0.ffn_down.weight"].shape.dimensions.reversed())
    },
    .set(.ollamaKind, "general.type", .string("adapter"), for: .ollama),
  ]

  @Test(arguments: faults) func aFaultIsNamedAndNothingElseIs(_ fault: Fault) throws {
    let report = try check(try changed(fault.change), for: fault.consumer)
    #expect(report.list.map(\.rule) == [fault.rule] && report.list.first?.subject == fault.subject, "\(report.text)")
  }

  @Test func allFaultsAreListed() throws {
    let path = try changed { parts in
      parts.metadata["llama.block_count"] = .uint64(6)
      parts.metadata["llama.context_length"] = nil
      parts["blk.0.attn_q.weight"].bytes[144 * 3 + 1] = 0xFC
      parts["blk.5.attn_q.weight"].bytes[144 * 4 + 1] = 0xFC
    }
    let report = try check(path, for: .llamaCpp)
    #expect(
      Set(report.list.compactMap(\.subject)) == [
        "llama.block_count", "llama.context_length", "blk.0.attn_q.weight", "blk.5.attn_q.weight",
      ])
    #expect(report.list.contains { $0.problem.hasPrefix("block 3 (elements 768 to 1023) of Q4_K") })
  }

  /// Hundreds of layers that are not there: a report stays one that can be read.
  @Test func findingsAreBounded() throws {
    let report = try check(try changed { $0.metadata["llama.block_count"] = .uint32(512) }, for: .llamaCpp)
    #expect(report.list.count == 1000 && report.count == 506 * 9 && !report.passed)
  }

  @Test func whatTheReaderRefusesIsAFinding() throws {
    let path = try model()[0]
    let bytes = try RandomAccessFile(path).readAll(limit: 1 << 30)
    for cut in [0, 3, 100, 5000, bytes.count - 1] {
      try folder.write("cut.gguf", Array(bytes[..<cut]))
      let report = try check(folder.path("cut.gguf"))
      #expect(report.list.map(\.rule) == [.structure], "\(report.text)")
      #expect(report.files.map(\.bytes) == [cut])
    }
  }

  @Test func aMissingMemberOfASetIsAFinding() throws {
    let files = try model(limits: SplitLimits(maximumTensors: 20))
    try folder.remove("model-00002-of-00003.gguf")
    let report = try check(files[0])
    #expect(report.list.map(\.rule) == [.structure] && report.text.contains("model-00002-of-00003.gguf"))
  }

  @Test func llamaCppOpensASetByItsFirstFile() throws {
    let files = try model(limits: SplitLimits(maximumTensors: 20))
    #expect(try check(files[1]).passed)
    #expect(try check(files[1], for: .llamaCpp).list.map(\.rule) == [.llamaSet])
  }

  @Test func ollamaTakesNoLinkThatLeadsOut() throws {
    _ = try model()
    try folder.makeFolder("other")
    try folder.makeLink("other/model.gguf", to: path)
    try folder.makeLink("beside.gguf", to: path)
    #expect(try check(folder.path("other/model.gguf"), for: .ollama).list.map(\.rule) == [.ollamaPath])
    #expect(try check(folder.path("beside.gguf"), for: .ollama).passed)
  }

  @Test func anotherModelIsNotTheSource() throws {
    let path = try changed { parts in
      parts.metadata["llama.rope.freq_base"] = .float32(5)
      parts.tensors.removeAll { $0.name == "blk.2.attn_norm.weight" }
    }
    let report = try FileCheck(of: path, against: ModelInput(opening: Fixtures.path("tiny-llama"))).run(jobs: 1)
    #expect(report.list.contains { $0.rule == .source && $0.subject == "blk.2.attn_norm.weight" })
  }

  // MARK: Published digests

  private func digest(_ path: String) throws -> String {
    let sums = try CommandRun("/usr/bin/sha256sum", [path])
    return String(sums.output.prefix(64))
  }

  /// The list lies beside the file under either name, or is given.
  @Test(arguments: ["SHA256SUMS", "model.sha256", "elsewhere/sums"])
  func oneFlippedBitIsNotThePublishedFile(list: String) throws {
    let path = try model()[0]
    try folder.makeFolder("elsewhere")
    let line = "\(try digest(path)) *./model.gguf\n\(String(repeating: "0", count: 64))  other.gguf\n"
    let sums = try folder.write(list, line)
    let published = list.contains("/") ? try PublishedDigests(reading: sums) : nil
    #expect(try FileCheck(of: path, published: published).run(jobs: 2).published == sums)
    #expect(try FileCheck(of: path, published: published).run(jobs: 2).passed)
    var bytes = try RandomAccessFile(path).readAll(limit: 1 << 30)
    bytes[bytes.count - 1000] ^= 1
    try folder.write("model.gguf", bytes)
    let report = try FileCheck(of: path, published: published).run(jobs: 2)
    #expect(report.list.map(\.rule) == [.digest] && report.list.first?.subject == "model.gguf", "\(report.text)")
  }

  @Test func aListThatDoesNotNameTheFileProvesNothing() throws {
    let path = try model()[0]
    let line = "\(String(repeating: "0", count: 64))  other.gguf\n"
    try folder.write("SHA256SUMS", line)
    #expect(try check(path).passed && check(path).published == nil)
    let given = try PublishedDigests(reading: folder.path("SHA256SUMS"))
    #expect(try FileCheck(of: path, published: given).run(jobs: 1).list.map(\.rule) == [.digest])
  }

  static let badLists = [
    "x", "abc  model.gguf\n", "{}", #"{"_type":"https://in-toto.io/Statement/v1"}"#,
    #"{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a","digest":{"sha256":"00"}}]}"#,
    #"{"_type":"https://in-toto.io/Statement/v0.1","subject":[]}"#,
    #"{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicate":{"runDetails":{"byproducts":[{"name":"a","digest":{"sha256":"\#(String(repeating: "0", count: 64))"},"annotations":{"part":"tensor","file":"model.gguf","offset":-1,"bytes":3}}]}}}"#,
    "\(String(repeating: "0", count: 64))  a\n\(String(repeating: "0", count: 64))  b/a\n",
  ]

  @Test(arguments: badLists.indices) func aListThatIsNoneIsRefused(_ index: Int) throws {
    let path = try folder.write("sums", Self.badLists[index])
    #expect(throws: InputError.self) { try PublishedDigests(reading: path) }
  }
}

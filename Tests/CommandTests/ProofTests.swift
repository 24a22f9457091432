import Foundation
import TestSupport
import Testing

/// `quern verify` as a release depends on it: a sound model passes, a broken one fails, and the report says where.
@Suite struct ProofTests {
  private static let tiny = Fixtures.path("tiny-llama")
  private static let text = Fixtures.path("text/python-docs-evaluate.txt")

  /// A defect that a converter or a quantizer may have, and where the report must point.
  enum Fault: String, CaseIterable, CustomTestStringConvertible {
    case doubledScale, swappedLayers, unpermutedQuery, ropeBase, epsilon, slightEpsilon

    var testDescription: String { rawValue }

    var override: String? {
      switch self {
      case .ropeBase: "llama.rope.freq_base=float:10000"
      case .epsilon: "llama.attention.layer_norm_rms_epsilon=float:1e-3"
      case .slightEpsilon: "llama.attention.layer_norm_rms_epsilon=float:1e-6"
      default: nil
      }
    }
  }

  /// The tiny model's folder with a defect in its weights.
  private static func model(with fault: Fault, in folder: TemporaryFolder) throws -> String {
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"] {
      try folder.write("model/\(name)", Array(Data(contentsOf: URL(fileURLWithPath: tiny + "/" + name))))
    }
    let file = Array(try Data(contentsOf: URL(fileURLWithPath: tiny + "/model.safetensors")))
    let length = Int(file[0]) | Int(file[1]) << 8 | Int(file[2]) << 16
    var header = String(decoding: file[8..<8 + length], as: UTF8.self)
    var data = Array(file[(8 + length)...])
    let entries = try #require(JSONSerialization.jsonObject(with: Data(header.utf8)) as? [String: Any])
    func range(_ name: String) throws -> Range<Int> {
      let offsets = try #require((entries[name] as? [String: Any])?["data_offsets"] as? [Int])
      return offsets[0]..<offsets[1]
    }
    switch fault {
    case .doubledScale:
      // BF16: one more in the exponent, but for zeros.
      for at in stride(from: 0, to: try range("model.layers.3.mlp.up_proj.weight").count, by: 2) {
        let at = try range("model.layers.3.mlp.up_proj.weight").lowerBound + at
        let bits = UInt16(data[at]) | UInt16(data[at + 1]) << 8
        guard bits & 0x7F80 != 0 else { continue }
        (data[at], data[at + 1]) = (UInt8(truncatingIfNeeded: bits + 0x80), UInt8((bits + 0x80) >> 8))
      }
    case .swappedLayers:
      header = header.replacingOccurrences(of: "layers.2.", with: "layers.X.")
        .replacingOccurrences(of: "layers.4.", with: "layers.2.").replacingOccurrences(
          of: "layers.X.", with: "layers.4.")
    case .unpermutedQuery:
      // Rows in the order from which the converter's permutation makes what it was given.
      let (rows, head) = (try range("model.layers.2.self_attn.q_proj.weight"), 32)
      let (row, original) = (256 * 2, Array(data[rows]))
      for index in 0..<256 {
        let (first, place) = (index / head * head, index % head)
        let source = first + place % (head / 2) * 2 + place / (head / 2)
        let target = rows.lowerBound + index * row
        data.replaceSubrange(target..<target + row, with: original[source * row..<(source + 1) * row])
      }
    case .ropeBase, .epsilon, .slightEpsilon: break
    }
    try folder.write("model/model.safetensors", SafetensorsBytes.file(header: Array(header.utf8), data: data))
    return folder.path("model")
  }

  private func object(_ text: String) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  private static let gates = ["--max-kld", "0.002", "--min-top1", "0.95", "--max-layer-error", "0.02"]

  private func verify(_ models: [String], _ more: [String] = []) throws -> CommandRun {
    try CommandRun(
      CommandRun.quern, ["verify"] + models + ["--against", Self.tiny, "--text", Self.text, "--chunks", "4"] + more)
  }

  @Test func aSoundModelPassesEveryGate() throws {
    let folder = try TemporaryFolder()
    let out = folder.path("tiny.gguf")
    #expect(try CommandRun.quern("convert", Self.tiny, "--type", "Q8_0", "-o", out, "-q").code == 0)
    let run = try verify([out], Self.gates + ["--json", "-q"])
    #expect(run.code == 0, "\(run.errors)")
    let report = try object(run.output)
    #expect(report["passed"] as? Bool == true)
    #expect((report["differences"] as? [Any])?.isEmpty == true)
  }

  @Test(arguments: Fault.allCases) func aBrokenModelFailsAndTheReportSaysWhere(_ fault: Fault) throws {
    let folder = try TemporaryFolder()
    let out = folder.path("tiny.gguf")
    let convert = try CommandRun(
      CommandRun.quern,
      ["convert", try Self.model(with: fault, in: folder), "--type", "Q8_0", "-o", out, "-q"]
        + (fault.override.map { ["--override-kv", $0] } ?? []))
    #expect(convert.code == 0, "\(convert.errors)")
    let run = try verify([out], Self.gates + ["--json", "-q"])
    #expect(run.code == 3, "\(run.errors)")
    #expect(run.errors.contains("gate "))
    let report = try object(run.output)
    #expect(report["passed"] as? Bool == false)
    let layer = (report["largest_layer"] as? [String: Any])?["layer"] as? Int
    let tensor = try #require((report["largest_tensor"] as? [String: Any])?["name"] as? String)
    let differences = (report["differences"] as? [[String: Any]])?.compactMap { $0["key"] as? String }
    let layers = try #require(report["layers"] as? [[String: Any]]).compactMap { $0["added"] as? Double }
    switch fault {
    case .doubledScale:
      #expect(layer == 3)
      #expect(tensor == "blk.3.ffn_up.weight")
      #expect(differences == [])
    case .swappedLayers:
      #expect([2, 4].contains(layer))
      #expect(tensor.hasPrefix("blk.2.") || tensor.hasPrefix("blk.4."))
      #expect(layers.indices.sorted { layers[$0] > layers[$1] }.prefix(2).sorted() == [2, 4])
    case .unpermutedQuery:
      #expect(layer == 2)
      #expect(tensor == "blk.2.attn_q.weight")
    case .ropeBase: #expect(differences == ["llama.rope.freq_base"])
    case .epsilon, .slightEpsilon: #expect(differences == ["llama.attention.layer_norm_rms_epsilon"])
    }
  }

  @Test func anotherPreTokenizerIsNamedAndNothingIsCompared() throws {
    let folder = try TemporaryFolder()
    let out = folder.path("tiny.gguf")
    let convert = try CommandRun.quern(
      "convert", Self.tiny, "--type", "Q8_0", "-o", out, "-q", "--override-kv", "tokenizer.ggml.pre=str:gpt-2")
    #expect(convert.code == 0, "\(convert.errors)")
    let run = try verify([out], ["-q"])
    #expect(run.code == 65)
    #expect(run.output.isEmpty)
    #expect(run.errors.contains("tokenizer.ggml.pre is gpt-2 where the reference has llama-bpe"))
  }

  @Test func severalCandidatesAreWhatEachIsAlone() throws {
    let folder = try TemporaryFolder()
    let names = ["Q8_0", "Q4_K_M"]
    let files = try names.map { type in
      let out = folder.path("tiny-\(type).gguf")
      let run = try CommandRun.quern("convert", Self.tiny, "--type", type, "-o", out, "-q")
      #expect(run.code == 0, "\(run.errors)")
      return out
    }
    let together = try verify(files, ["--json", "-q", "--max-kld", "0.001"])
    #expect(together.code == 3)
    #expect(together.errors.contains("for tiny-Q4_K_M.gguf"))
    #expect(!together.errors.contains("for tiny-Q8_0.gguf"))
    let both = try #require(try object(together.output)["candidates"] as? [[String: Any]])
    #expect(both.count == 2)
    for (file, row) in zip(files, both) {
      let alone = try object(verify([file], ["--json", "-q", "--max-kld", "0.001"]).output)
      let facts = Set(alone.keys).symmetricDifference(row.keys)
      #expect(facts == ["reference", "text", "arithmetic", "version", "notes"])
      #expect(try sorted(row) == sorted(alone.filter { row[$0.key] != nil }))
    }
  }

  /// Frequencies are a tensor in the file of a Llama 3.1, and no weights that a type could have changed.
  @Test func frequenciesAreNotAttributedAndTheReportSaysSo() throws {
    let folder = try TemporaryFolder()
    for name in ["model.safetensors", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"] {
      try folder.write("model/\(name)", Array(Data(contentsOf: URL(fileURLWithPath: Self.tiny + "/" + name))))
    }
    var config = try object(String(contentsOfFile: Self.tiny + "/config.json", encoding: .utf8))
    config["rope_scaling"] = [
      "rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4,
      "original_max_position_embeddings": 256,
    ]
    try folder.write("model/config.json", Array(JSONSerialization.data(withJSONObject: config)))
    let (model, out) = (folder.path("model"), folder.path("out.gguf"))
    #expect(try CommandRun.quern("convert", model, "--type", "Q8_0", "-o", out, "-q").code == 0)
    let run = try CommandRun.quern(
      "verify", out, "--against", model, "--text", Self.text, "--ctx", "64", "--chunks", "2", "--attribute", "--json",
      "-q")
    #expect(run.code == 0, "\(run.errors)")
    let report = try object(run.output)
    let rows = try #require(report["tensors"] as? [[String: Any]])
    let unmeasured = rows.filter { $0["attributed_divergence"] as? Double == nil }.compactMap { $0["name"] as? String }
    #expect(unmeasured == ["rope_freqs.weight"])
    #expect((report["notes"] as? [String])?.count { $0.contains("rope_freqs.weight") } == 1)
  }

  @Test func aModelThatIsCertainToFailIsNotWalkedToTheEnd() throws {
    let folder = try TemporaryFolder()
    let out = folder.path("tiny.gguf")
    #expect(try CommandRun.quern("convert", Self.tiny, "--type", "Q2_K", "-o", out, "-q").code == 0)
    let gates = ["--json", "-q", "--ctx", "128", "--max-kld", "0.02"]
    let whole = try object(verify([out], gates).output)
    let run = try verify([out], gates + ["--fail-fast"])
    #expect(run.code == 3 && run.errors.contains("max-kld"), "\(run.errors)")
    let part = try object(run.output)
    #expect(whole["chunks"] as? Int == 4 && part["chunks"] as? Int == 1)
    #expect(part["tokens_scored"] as? Int == 63)
    #expect((part["notes"] as? [String])?.contains { $0.hasPrefix("stopped after 1 of 4 chunks") } == true)
    let passing = try verify([out], ["--json", "-q", "--ctx", "128", "--max-kld", "9", "--fail-fast"])
    #expect(try passing.code == 0 && object(passing.output)["chunks"] as? Int == 4)
  }

  /// In another arithmetic than F32 the report says below what it sees nothing; in F32 when it is asked for.
  @Test func theFloorOfTheArithmeticIsMeasured() throws {
    let bf16 = try object(verify([Self.tiny], ["--arithmetic", "bf16", "--json", "-q"]).output)
    let floor = try #require(bf16["floor"] as? [String: Any])
    #expect(floor["chunks"] as? Int == 4)
    let kld = try #require((floor["kld"] as? [String: Any])?["mean"] as? Double)
    #expect(kld > 1e-8 && kld < 1e-2)
    // The model is compared with itself in the same arithmetic.
    #expect((bf16["kld"] as? [String: Any])?["mean"] as? Double == 0)
    let plan = try verify([Self.tiny], ["--arithmetic", "bf16", "--floor-chunks", "1"])
    #expect(plan.output.contains("note: bf16 beside f32 over 255 tokens"), "\(plan.output)")
    #expect(plan.errors.split(separator: "\n").count { $0.hasPrefix("memory: ") } == 2, "\(plan.errors)")
    #expect(try object(verify([Self.tiny], ["--json", "-q"]).output)["floor"] == nil)
    let exact = try object(verify([Self.tiny], ["--floor-chunks", "1", "--json", "-q"]).output)
    let none = try #require((exact["floor"] as? [String: Any])?["kld"] as? [String: Any])
    #expect(none["mean"] as? Double == 0)
  }

  private func sorted(_ object: [String: Any]) throws -> String {
    String(decoding: try JSONSerialization.data(withJSONObject: object, options: .sortedKeys), as: UTF8.self)
  }

  @Test(arguments: [
    ("max-kld: 0.5\nmin-topp1: 0.9\n", "line 2"), ("max-kld: 0.5\nmax-kld: 0.6\n", "twice"),
    ("max-kld: much\n", "line 1"), ("min-top1: 1.5\n", "line 1"), ("- max-kld\n", "line 1"), ("", "no gate"),
    ("max-kld: [0.5\n", "line 2"), ("max-kld: .nan\n", "line 1"), (String(repeating: "[", count: 60000), "YAML"),
  ])
  func aFileOfGatesThatSaysSomethingElseIsRefused(_ file: String, _ expected: String) throws {
    let folder = try TemporaryFolder()
    let gates = try folder.write("gates.yaml", file)
    let run = try verify([Self.tiny], ["-q", "--gates", gates])
    #expect(run.code == 65)
    #expect(run.errors.contains(expected), "\(run.errors)")
  }

  @Test func gatesOfTheCommandLineReplaceThoseOfTheFile() throws {
    let folder = try TemporaryFolder()
    let gates = try folder.write("gates.yaml", "max-kld: 0.5\nmin-top1: 0.5\n")
    let run = try verify([Self.tiny], ["-q", "--json", "--gates", gates, "--min-top1", "0.75"])
    #expect(run.code == 0, "\(run.errors)")
    let rows = try #require(try object(run.output)["gates"] as? [[String: Any]])
    #expect(rows.map { $0["name"] as? String } == ["max-kld", "min-top1", "max-differences"])
    #expect(rows.map { $0["limit"] as? Double } == [0.5, 0.75, 0])
    #expect(rows.allSatisfy { $0["passed"] as? Bool == true })
  }
}

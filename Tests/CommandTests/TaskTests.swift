import Foundation
import TestSupport
import Testing

/// `quern verify` with tasks and with files of logits, and `quern perplexity --save-logits`, as a user runs them.
@Suite struct TaskTests {
  private let tiny = Fixtures.path("tiny-llama")
  private let text = Fixtures.path("text/python-docs-evaluate.txt")
  private let folder: TemporaryFolder
  private let small: String

  init() throws {
    folder = try TemporaryFolder()
    small = folder.path("q4.gguf")
    let run = try CommandRun.quern("convert", tiny, "--type", "Q4_0", "-o", small, "-q")
    try #require(run.code == 0, "\(run.errors)")
  }

  private func object(_ text: String) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  /// Items of which each half of the text's first lines is an end of the other half.
  private func tasks() throws -> String {
    let words = try String(contentsOfFile: text, encoding: .utf8).split(whereSeparator: \.isWhitespace).prefix(1600)
    var lines: [String] = []
    for first in stride(from: 0, to: words.count - 40, by: 40) {
      let part = words.map(String.init)[first..<first + 40]
      let choices = [Array(part.suffix(10)), Array(part.prefix(20).suffix(7)), Array(part.prefix(8))].map {
        $0.joined(separator: " ")
      }
      let item: [String: Any] = [
        "task": first % 80 == 0 ? "even" : "odd", "context": part.prefix(30).joined(separator: " "),
        "choices": choices, "label": 0,
      ]
      lines.append(String(decoding: try JSONSerialization.data(withJSONObject: item), as: UTF8.self))
    }
    return try folder.write("quiz.jsonl", lines.joined(separator: "\n"))
  }

  @Test func tasksAloneNeedNoText() throws {
    let results = folder.path("results.json")
    let run = try CommandRun.quern(
      "verify", small, "--against", tiny, "--tasks", try tasks(), "--tasks-results", results, "--json", "-q")
    #expect(run.code == 0, "\(run.errors)")
    let report = try #require(try object(run.output)["tasks"] as? [String: Any])
    let groups = try #require(report["tasks"] as? [[String: Any]])
    #expect(groups.compactMap { $0["task"] as? String } == ["even", "odd"])
    let choices = try #require(report["choices"] as? [[String: Any]])
    #expect(choices.count == report["items"] as? Int)

    // The tables are what the choices say.
    for measure in ["acc", "acc_norm", "acc_bytes", "acc_token"] {
      for group in groups {
        let mine = choices.filter { $0["task"] as? String == group["task"] as? String }
        func right(_ model: String) -> [Bool] { mine.map { ($0[model] as? [String: Any])?[measure] as? Int == 0 } }
        let (a, b) = (right("reference"), right("quantized"))
        let said = try #require(group[measure] as? [String: Double])
        let count = Double(mine.count)
        let shares = (try #require(said["reference"]), try #require(said["quantized"]))
        #expect((shares.0 - Double(a.count { $0 }) / count).magnitude < 1e-12)
        #expect((shares.1 - Double(b.count { $0 }) / count).magnitude < 1e-12)
        #expect(said["right_to_wrong"] == Double(zip(a, b).count { $0 && !$1 }))
        #expect(said["wrong_to_right"] == Double(zip(a, b).count { !$0 && $1 }))
      }
    }
    // A second run asks before it replaces them, and before it answers anything.
    let again = ["verify", small, "--against", tiny, "--tasks", try tasks(), "--tasks-results", results, "-q"]
    let refused = try CommandRun(CommandRun.quern, again)
    #expect(refused.code == 74 && refused.errors.contains("--force") && refused.output.isEmpty, "\(refused.errors)")
    #expect(try CommandRun(CommandRun.quern, again + ["--force"]).code == 0)
    // What lm-eval's own files have.
    let written = try object(String(contentsOfFile: results, encoding: .utf8))
    let even = try #require((written["results"] as? [String: Any])?["even"] as? [String: Any])
    let said = try #require(groups[0]["acc_norm"] as? [String: Double])
    #expect(even["acc_norm,none"] as? Double == said["quantized"])
    #expect(even["acc_norm_stderr,none"] as? Double == said["quantized_standard_error"])
    #expect(even["alias"] as? String == "even")
    for key in ["configs", "versions", "n-shot", "higher_is_better", "n-samples"] {
      #expect((written[key] as? [String: Any])?.keys.sorted() == ["even", "odd"], "\(key)")
    }
  }

  @Test func aModelAgreesWithItself() throws {
    let run = try CommandRun.quern("verify", small, "--against", small, "--tasks", try tasks(), "--json", "-q")
    let report = try #require(try object(run.output)["tasks"] as? [String: Any])
    let all = try #require(report["all"] as? [String: Any])
    for measure in ["acc", "acc_norm", "acc_bytes", "acc_token"] {
      let said = try #require(all[measure] as? [String: Double])
      #expect(said["same_choice"] == 1 && said["right_to_wrong"] == 0 && said["wrong_to_right"] == 0)
      #expect(said["difference_standard_error"] == 0)
    }
  }

  @Test func severalModelsAnswerBesideOneReference() throws {
    let run = try CommandRun.quern("verify", small, tiny, "--against", small, "--tasks", try tasks(), "--json", "-q")
    #expect(run.code == 0, "\(run.errors)")
    let reports = try #require(try object(run.output)["tasks"] as? [[String: Any]])
    #expect(reports.compactMap { $0["model"] as? String } == [small, tiny])
    let same = reports.compactMap { (($0["all"] as? [String: Any])?["acc"] as? [String: Double])?["same_choice"] }
    #expect(same.count == 2 && same[0] == 1)
    let refused = try CommandRun.quern(
      "verify", small, tiny, "--against", small, "--tasks", "x", "--tasks-results", folder.path("r.json"))
    #expect(refused.code == 2)
  }

  @Test func aTableFollowsTheDrift() throws {
    let run = try CommandRun.quern(
      "verify", small, "--against", tiny, "--text", text, "--chunks", "2", "--ctx", "64", "--tasks", try tasks(), "-q")
    #expect(run.code == 0, "\(run.errors)")
    #expect(run.output.contains("mean KL divergence"))
    let table = try #require(run.output.range(of: "task  items  measure")?.lowerBound)
    #expect(run.output[table...].split(separator: "\n").count == 13)
  }

  @Test func aBrokenTaskFileIsBadDataNamedByLine() throws {
    let path = try folder.write("broken.jsonl", "{\"context\": \"x\", \"choices\": [\"a\", \"b\"], \"label\": 7}\n")
    let run = try CommandRun.quern("verify", small, "--against", tiny, "--tasks", path, "-q")
    #expect(run.code == 65)
    #expect(run.errors.contains("line 1, label"), "\(run.errors)")
  }

  @Test func modelsWithOtherTokensAreNotQuizzed() throws {
    let other = folder.path("other")
    try folder.makeFolder("other")
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"] {
      try FileManager.default.copyItem(atPath: "\(tiny)/\(name)", toPath: "\(other)/\(name)")
    }
    let url = URL(fileURLWithPath: other + "/tokenizer.json")
    let json = try String(contentsOf: url, encoding: .utf8)
    try #require(json.contains("{1,3}"))
    try json.replacingOccurrences(of: "{1,3}", with: "").write(to: url, atomically: false, encoding: .utf8)
    let path = try folder.write(
      "digits.jsonl", "{\"context\": \"In 1234567\", \"choices\": [\"a 99999\", \"b\"], \"label\": 0}\n")
    let run = try CommandRun.quern("verify", other, "--against", tiny, "--tasks", path, "-q")
    #expect(run.code == 65, "\(run.errors)")
    #expect(run.errors.contains("tokenizer"), "\(run.errors)")
  }

  @Test(arguments: [
    [], ["--text", "x", "--against", "y", "--logits", "z"], ["--against", "y"], ["--logits", "z", "--tasks", "t"],
    ["--against", "y", "--text", "x", "--tasks-results", "r"], ["--against", "y", "--tasks", "t", "--max-kld", "1"],
    ["--logits", "z", "--max-layer-error", "1"],
  ]) func whatCannotBeMeasuredIsWrongUsage(_ flags: [String]) throws {
    let run = try CommandRun(CommandRun.quern, ["verify", small] + flags)
    #expect(run.code == 2, "\(run.errors)")
  }

  // MARK: Files of logits

  @Test func logitsAreSavedAndComparedWith() throws {
    let base = folder.path("base.kld")
    let saved = try CommandRun.quern(
      "perplexity", tiny, "--text", text, "--ctx", "64", "--chunks", "6", "--save-logits", base, "--json", "-q")
    #expect(saved.code == 0, "\(saved.errors)")
    let perplexity = try #require(try object(saved.output)["perplexity"] as? Double)

    let direct = try object(
      CommandRun.quern(
        "verify", small, "--against", tiny, "--text", text, "--ctx", "64", "--chunks", "6", "--json", "-q"
      ).output)
    let stored = try object(CommandRun.quern("verify", small, "--logits", base, "--json", "-q").output)
    #expect((stored["perplexity_quantized"] as? Double) == (direct["perplexity_quantized"] as? Double))
    let reference = try #require(stored["perplexity_reference"] as? Double)
    #expect((reference / perplexity - 1).magnitude < 1e-4)
    func mean(_ report: [String: Any]) throws -> Double {
      try #require((report["kld"] as? [String: Any])?["mean"] as? Double)
    }
    #expect(try mean(direct) > 0.005)
    #expect(try (mean(stored) - mean(direct)).magnitude < 2e-4)
    #expect((stored["notes"] as? [String])?.first?.contains("16 bits") == true)

    let gate = try CommandRun.quern("verify", small, "--logits", base, "--max-kld", "0.000001", "-q")
    #expect(gate.code == 3)
    let checked = try CommandRun.quern("verify", small, "--logits", base, "--text", text, "-q")
    #expect(checked.code == 0, "\(checked.errors)")
    let other = try CommandRun.quern(
      "verify", small, "--logits", base, "--text", Fixtures.path("text/python-docs-calibrate.txt"), "-q")
    #expect(other.code == 65)
  }

  @Test func anExistingFileOfLogitsIsKeptAndNothingIsLeftOfAFailedRun() throws {
    let base = try folder.write("base.kld", "precious")
    let arguments = ["perplexity", tiny, "--text", text, "--ctx", "64", "--chunks", "2", "--save-logits", base, "-q"]
    let refused = try CommandRun(CommandRun.quern, arguments)
    #expect(refused.code == 74 && refused.errors.contains("--force"))
    #expect(try String(contentsOfFile: base, encoding: .utf8) == "precious")
    #expect(try CommandRun(CommandRun.quern, arguments + ["--force"]).code == 0)

    let short = try folder.write("short.txt", "too short")
    let failed = try CommandRun.quern(
      "perplexity", tiny, "--text", short, "--save-logits", folder.path("none.kld"), "-q")
    #expect(failed.code == 65)
    #expect(try folder.names().allSatisfy { !$0.contains("none") && !$0.contains("partial") })
  }
}

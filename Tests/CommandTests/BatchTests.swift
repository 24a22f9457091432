import Foundation
import TestSupport
import Testing

/// Batches of the bundled model, as processes.
@Suite(.serialized) struct BatchTests {
  private let text = Fixtures.path("text/python-docs-evaluate.txt")

  /// Three models, one of which is broken, and what is made of them.
  private final class Night {
    let folder: TemporaryFolder
    var manifest: String { folder.path("night.yaml") }

    init(recipes: String, defaults: String = "{}", models: [String] = ["a", "b", "broken"]) throws {
      folder = try TemporaryFolder()
      for model in models {
        try FileManager.default.copyItem(
          atPath: Fixtures.path("tiny-llama"), toPath: folder.path(model))
      }
      if models.contains("broken") {
        let weights = folder.path("broken/model.safetensors")
        try FileHandle(forWritingTo: URL(fileURLWithPath: weights)).truncate(atOffset: 100_000)
      }
      try write(recipes: recipes, defaults: defaults, models: models)
    }

    func write(recipes: String, defaults: String = "{}", models: [String]) throws {
      try folder.write(
        "night.yaml",
        """
        output: out/{model}-{recipe}.gguf
        defaults: \(defaults)
        models:
        \(models.map { "  - {name: \($0), path: \($0)}\n" }.joined())
        recipes:
        \(recipes)
        """)
    }

    func run(_ arguments: String...) throws -> (code: Int32, jobs: [String: [String: Any]], errors: String) {
      let run = try CommandRun(CommandRun.quern, ["batch", manifest, "--json", "--retries", "0"] + arguments)
      let report = try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any]
      let jobs = try #require(report?["jobs"] as? [[String: Any]], "\(run.errors)")
      return (
        run.code, Dictionary(uniqueKeysWithValues: jobs.map { ($0["name"] as? String ?? "", $0) }), run.errors
      )
    }

    var made: [String] {
      ((try? FileManager.default.contentsOfDirectory(atPath: folder.path("out"))) ?? [])
        .filter { $0.hasSuffix(".gguf") }.sorted()
    }

    /// Other whenever one of the outputs is.
    var stamps: [String] {
      made.map { name in
        let attributes = try? FileManager.default.attributesOfItem(atPath: folder.path("out/\(name)"))
        return "\(name) \(attributes?[.systemFileNumber] ?? 0) \(attributes?[.modificationDate] ?? 0)"
      }
    }
  }

  private static let four = """
      - {name: q4, type: Q4_K_M}
      - {name: q8, type: Q8_0}
      - {name: q3, type: Q3_K_M}
      - {name: f16, type: F16}
    """

  private func statuses(_ jobs: [String: [String: Any]]) -> [String: Int] {
    jobs.values.reduce(into: [:]) { $0[$1["status"] as? String ?? "", default: 0] += 1 }
  }

  @Test func aBrokenModelHurtsNoOtherAndIsAllThatIsTriedAgain() throws {
    let night = try Night(recipes: BatchTests.four)
    let first = try night.run("--memory", "1G", "--jobs", "2")
    #expect(first.code == 1)
    #expect(statuses(first.jobs) == ["done": 8, "failed": 4])
    #expect(night.made.count == 8)
    for recipe in ["q4", "q8", "q3", "f16"] {
      let failed = try #require(first.jobs["broken/\(recipe)"])
      #expect(failed["status"] as? String == "failed" && failed["exit_code"] as? Int == 65)
      #expect((failed["problem"] as? String)?.contains("model.safetensors") == true)
      let log = try #require(failed["log"] as? String)
      #expect(try String(contentsOfFile: log, encoding: .utf8).contains("model.safetensors"))
    }
    let alone = night.folder.path("alone.gguf")
    #expect(try CommandRun.quern("convert", night.folder.path("a"), "-t", "Q4_K_M", "-o", alone).code == 0)
    #expect(
      FileManager.default.contentsEqual(atPath: alone, andPath: night.folder.path("out/a-q4.gguf")),
      "a job's output is that of quern convert")

    let stamps = night.stamps
    let second = try night.run()
    #expect(second.code == 1)
    #expect(statuses(second.jobs) == ["up_to_date": 8, "failed": 4])
    #expect(
      second.jobs.values.allSatisfy { ($0["seconds"] as? Double == 0) == ($0["status"] as? String == "up_to_date") })
    #expect(night.stamps == stamps)

    try FileManager.default.removeItem(atPath: night.folder.path("broken"))
    try FileManager.default.copyItem(atPath: Fixtures.path("tiny-llama"), toPath: night.folder.path("broken"))
    let third = try night.run()
    #expect(third.code == 0)
    #expect(statuses(third.jobs) == ["up_to_date": 8, "done": 4])
    #expect(Set(night.stamps).isSuperset(of: stamps) && night.made.count == 12)
  }

  @Test func whatIsMissingOrStaleIsDoneAgainAndNothingElse() throws {
    let night = try Night(recipes: BatchTests.four, models: ["a", "b"])
    #expect(try night.run().code == 0)
    try FileManager.default.removeItem(atPath: night.folder.path("out/a-q4.gguf"))
    try FileHandle(forWritingTo: URL(fileURLWithPath: night.folder.path("b/config.json"))).seekToEnd()
    try FileManager.default.setAttributes(
      [.modificationDate: Date(timeIntervalSince1970: 1)], ofItemAtPath: night.folder.path("b/config.json"))
    let again = try night.run()
    #expect(again.code == 0)
    let done = again.jobs.filter { $0.value["status"] as? String == "done" }.map(\.key).sorted()
    #expect(done == ["a/q4", "b/f16", "b/q3", "b/q4", "b/q8"])
    try night.write(
      recipes: BatchTests.four.replacingOccurrences(of: "type: Q8_0", with: "type: Q8_0, pure: true"),
      models: ["a", "b"])
    let changed = try night.run()
    #expect(changed.jobs.filter { $0.value["status"] as? String == "done" }.map(\.key).sorted() == ["a/q8", "b/q8"])
  }

  @Test func whatFailsAGateDoesNotTakeItsName() throws {
    let recipes = """
        - {name: q8, type: Q8_0, max-kld: 0.01}
        - {name: q2, type: Q2_K, max-kld: 0.01}
      """
    let night = try Night(
      recipes: recipes, defaults: "{text: \(text), chunks: 2, ctx: 128}", models: ["a"])
    let first = try night.run()
    #expect(first.code == 3, "\(first.errors)")
    #expect(night.made == ["a-q8.gguf"])
    let failed = try #require(first.jobs["a/q2"])
    #expect(failed["status"] as? String == "gate_failed" && failed["exit_code"] as? Int == 3)
    let kept = try #require(failed["output"] as? String)
    #expect(kept.hasSuffix("out/.unproved/a-q2.gguf") && FileManager.default.fileExists(atPath: kept))
    let passed = try #require(first.jobs["a/q8"])
    #expect((passed["mean_kld"] as? Double).map { $0 < 0.01 } == true)
    #expect(FileManager.default.fileExists(atPath: try #require(passed["report"] as? String)))
    let index = try String(contentsOfFile: night.folder.path(".quern-batch/index.html"), encoding: .utf8)
    #expect(index.contains("a@q8.html") && index.contains("gate_failed"))

    // What was refused is refused again without being measured again.
    let same = try night.run()
    #expect(same.code == 3 && statuses(same.jobs) == ["up_to_date": 1, "gate_failed": 1])
    #expect(same.jobs["a/q2"]?["seconds"] as? Double == 0)

    // The gate is eased: what was made is proved anew, not made anew.
    let inode = try FileManager.default.attributesOfItem(atPath: kept)[.systemFileNumber] as? Int
    try night.write(
      recipes: recipes.replacingOccurrences(of: "Q2_K, max-kld: 0.01", with: "Q2_K, max-kld: 10"),
      defaults: "{text: \(text), chunks: 2, ctx: 128}", models: ["a"])
    let second = try night.run()
    #expect(second.code == 0, "\(second.errors)")
    #expect(night.made == ["a-q2.gguf", "a-q8.gguf"])
    let moved = try FileManager.default.attributesOfItem(atPath: night.folder.path("out/a-q2.gguf"))
    #expect(moved[.systemFileNumber] as? Int == inode)

    // It is tightened: what does not pass any more is taken out of the way.
    try night.write(
      recipes: recipes.replacingOccurrences(of: "Q2_K, max-kld: 0.01", with: "Q2_K, max-kld: 0.001"),
      defaults: "{text: \(text), chunks: 2, ctx: 128}", models: ["a"])
    #expect(try night.run().code == 3)
    #expect(night.made == ["a-q8.gguf"])
  }

  @Test func whatAttestsAnOutputIsPublishedWithIt() throws {
    let night = try Night(
      recipes: "  - {name: q8, type: Q8_0, provenance: true, split-max-tensors: 30}", models: ["a"])
    #expect(try night.run().code == 0)
    let names = try FileManager.default.contentsOfDirectory(atPath: night.folder.path("out")).sorted()
    #expect(
      names == [
        ".unproved", "a-q8-00001-of-00002.gguf", "a-q8-00002-of-00002.gguf", "a-q8.intoto.json", "a-q8.sha256",
      ])
    #expect(try CommandRun.quern("check", night.folder.path("out/a-q8-00001-of-00002.gguf")).code == 0)
    #expect(try night.run().jobs["a/q8"]?["status"] as? String == "up_to_date")
  }

  @Test func whatSomebodyElseMadeIsNotReplaced() throws {
    let night = try Night(recipes: BatchTests.four, models: ["a"])
    let foreign = try night.folder.write("out/a-q8.gguf", "mine")
    let run = try night.run()
    #expect(run.code == 1)
    #expect(try String(contentsOfFile: foreign, encoding: .utf8) == "mine")
    #expect((run.jobs["a/q8"]?["problem"] as? String)?.contains("not made by this batch") == true)
    #expect(try night.run("--force").code == 0)
    #expect(night.made.count == 4)
  }

  /// The files of a set have names of their own; what an earlier manifest made of other sets is the batch's.
  @Test func aSetThatSomebodyElseMadeIsNotReplaced() throws {
    func recipes(_ tensors: Int) -> String { "  - {name: q8, type: Q8_0, split-max-tensors: \(tensors)}" }
    let night = try Night(recipes: recipes(30), models: ["a"])
    let foreign = try night.folder.write("out/a-q8-00002-of-00002.gguf", "mine")
    let run = try night.run()
    #expect(run.code == 1)
    #expect(try String(contentsOfFile: foreign, encoding: .utf8) == "mine")
    #expect((run.jobs["a/q8"]?["problem"] as? String)?.contains("not made by this batch") == true)
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: night.folder.path("out")).count == 1, "it was seen first")
    #expect(try night.run("--force").code == 0)
    #expect(night.made == ["a-q8-00001-of-00002.gguf", "a-q8-00002-of-00002.gguf"])
    for (tensors, count) in [(25, 5), (30, 5)] {
      try night.write(recipes: recipes(tensors), models: ["a"])
      let again = try night.run()
      #expect(again.code == 0, "\(again.errors)")
      #expect(statuses(again.jobs) == ["done": 1] && night.made.count == count)
    }
    try night.folder.write("out/a-q8-00001-of-00009.gguf", "mine")
    try night.write(recipes: recipes(25), models: ["a"])
    #expect(try night.run().code == 1)
  }

  /// Long enough to be stopped in the middle.
  private static let long = (0..<4).map { "  - {name: r\($0), type: IQ3_S, calibration-seed: \($0)}\n" }.joined()

  @Test(arguments: [SIGKILL, SIGTERM, SIGINT]) func aStoppedBatchGoesOn(_ signal: Int32) throws {
    let night = try Night(recipes: BatchTests.long, models: ["a", "b", "c"])
    let arguments = ["batch", night.manifest, "--json", "--jobs", "2", "--memory", "512M"]
    let stopped = try CommandRun.stop(CommandRun.quern, arguments, with: signal) { night.made.count >= 2 }
    #expect(stopped.code == (signal == SIGKILL ? 128 + SIGKILL : 75), "\(stopped.errors)")
    let (stamps, made) = (night.stamps, night.made)
    #expect((2..<12).contains(made.count))
    // Jobs end with a batch that is killed, sooner or later: until then they keep their outputs from the next run.
    let again = try CommandRun(CommandRun.quern, arguments + ["--retries", "5"])
    #expect(again.code == 0, "\(again.errors)")
    #expect(night.made.count == 12)
    #expect(Set(night.stamps).isSuperset(of: stamps), "what was done was not done again")
    for name in night.made {
      let first = night.folder.path("out/\(name.prefix(1))-r0.gguf")
      #expect(FileManager.default.contentsEqual(atPath: first, andPath: night.folder.path("out/\(name)")), "\(name)")
    }
    let waiting = try FileManager.default.contentsOfDirectory(atPath: night.folder.path("out/.unproved"))
    #expect(waiting.isEmpty, "\(waiting)")
  }

  @Test func ofTwoRunsOfAManifestTheSecondIsToldToTryAgain() throws {
    let night = try Night(recipes: BatchTests.long, models: ["a", "b"])
    var second: CommandRun?
    _ = try CommandRun.stop(CommandRun.quern, ["batch", night.manifest, "--jobs", "1"], with: SIGTERM) {
      guard FileManager.default.fileExists(atPath: night.folder.path("out")) else { return false }
      second = try? CommandRun.quern("batch", night.manifest)
      return true
    }
    #expect(second?.code == 75)
    #expect(second?.errors.contains("under way") == true)
  }

  @Test func aPreviewSaysWhatARunWillDoAndDoesNothing() throws {
    let night = try Night(recipes: BatchTests.four, models: ["a", "broken"])
    func preview() throws -> [String: Any] {
      let run = try CommandRun.quern("batch", night.manifest, "--dry-run", "--json")
      #expect(run.code == 0, "\(run.errors)")
      return try #require(try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
    }
    let before = try preview()
    #expect(try night.folder.names() == ["a", "broken", "night.yaml"])
    let jobs = try #require(before["jobs"] as? [[String: Any]])
    #expect(jobs.count == 8 && jobs.allSatisfy { $0["status"] as? String == "missing" })
    #expect(jobs.filter { $0["problem"] as? String != nil }.count == 4)
    #expect((before["estimated_by"] as? String)?.contains("assumed") == true)
    let run = try night.run()
    var needed = 0
    for job in jobs where job["problem"] as? String == nil {
      let name = try #require(job["name"] as? String)
      #expect(job["file_bytes"] as? Int == run.jobs[name]?["file_bytes"] as? Int)
      needed += try #require(job["file_bytes"] as? Int)
      let commands = try #require(job["commands"] as? [[String]])
      #expect(commands.count == 1 && commands[0].contains("convert"))
    }
    let disk = try #require(before["disk"] as? [[String: Any]])
    #expect(disk.count == 1 && disk[0]["needed_bytes"] as? Int == needed)
    let after = try preview()
    #expect((after["jobs"] as? [[String: Any]])?.filter { $0["status"] as? String == "done" }.count == 4)
    #expect((after["estimated_by"] as? String)?.contains("4 jobs") == true)
  }

  @Test(arguments: [
    "models: 3", "output: x\nmodels: []\nrecipes: []\nrecieps: []",
    "output: ${QUERN_NOT_SET}\nmodels: [{name: a, path: a}]\nrecipes: [{name: r, type: Q8_0}]",
    "output: x\nmodels: [{name: a, path: a}]\nrecipes: [{name: r, type: Q8_0, memory: 900G}]",
  ]) func aManifestThatCannotBeIsWrongUsage(_ text: String) throws {
    let folder = try TemporaryFolder()
    let run = try CommandRun.quern("batch", folder.write("m.yaml", text))
    #expect(run.code == 2 && run.output.isEmpty && run.errors.contains("m.yaml"))
    #expect(try folder.names() == ["m.yaml"])
  }
}

import Foundation
import TestSupport
import Testing

/// Conversions cut into tasks: whatever their number and order, and whatever happens to them, the file is that of one process.
@Suite(.serialized) struct SpreadTests {
  private let tiny = Fixtures.path("tiny-llama")
  private let text = Fixtures.path("text/python-docs-calibrate.txt")
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// Runs a command that is to end with `code`.
  @discardableResult
  private func quern(_ arguments: [String], code: Int32 = 0, _ environment: [String: String] = [:]) throws -> CommandRun
  {
    let run = try CommandRun(CommandRun.quern, arguments + ["-q"], environment: environment, folder: folder.path("."))
    #expect(run.code == code, "\(arguments): \(run.errors)")
    return run
  }

  private func plan(_ name: String, tasks: Int, _ flags: [String]) throws -> [String: Any] {
    let run = try CommandRun(
      CommandRun.quern,
      ["plan", tiny, "--tasks", "\(tasks)", "--gguf", "\(name).gguf", "-o", name, "--json"] + flags,
      folder: folder.path("."))
    #expect(run.code == 0, "\(run.errors)")
    return try #require(try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
  }

  /// Runs all tasks of all stages, those of a stage in an order drawn with `seed`.
  private func runAll(_ name: String, tasks: Int, _ flags: [String], seed: UInt64 = 1) throws {
    let stages = try #require(try plan(name, tasks: tasks, flags)["stages"] as? [[String: Any]])
    var random = SeededGenerator(seed: seed)
    for stage in stages {
      let (word, count) = (try #require(stage["stage"] as? String), try #require(stage["tasks"] as? Int))
      for index in (0..<count).shuffled(using: &random) {
        try quern(["task", name, "--stage", word, "--index", "\(index)"])
      }
    }
    try quern(["finalize", name])
  }

  private func same(_ one: String, _ other: String) -> Bool {
    FileManager.default.contentsEqual(atPath: folder.path(one), andPath: folder.path(other))
  }

  private static let flags: [[String]] = [["--type", "Q4_K_M"], ["--type", "IQ4_XS"], ["--type", "Q8_0", "--pure"]]

  @Test(arguments: flags) func anyNumberOfTasksInAnyOrderMakesTheFileOfOneProcess(_ flags: [String]) throws {
    try quern(["convert", tiny, "-o", "whole.gguf"] + flags)
    for (seed, tasks) in [1, 4, 40].enumerated() {
      try runAll("plan\(tasks)", tasks: tasks, flags, seed: UInt64(seed))
      #expect(same("whole.gguf", "plan\(tasks).gguf"), "\(tasks) tasks")
    }
  }

  @Test(arguments: [2, 3, 40]) func tasksMakeSetsOfFiles(_ tasks: Int) throws {
    let flags = ["--type", "Q4_K_M", "--split-max-tensors", "20"]
    try quern(["convert", tiny, "-o", "whole.gguf"] + flags)
    try runAll("plan", tasks: tasks, flags, seed: 5)
    for number in 1...3 {
      let suffix = "-0000\(number)-of-00003.gguf"
      #expect(same("whole" + suffix, "plan" + suffix), "file \(number)")
    }
  }

  /// Slices are summed in their order, so that the number of tasks does not show; the file is that of the same slices
  /// calibrated and added by hand.
  @Test func hessiansOfSlicesAreSummedTheSameByAnyNumberOfTasks() throws {
    let flags = [
      "--type", "Q4_K_M", "--method", "gptq", "--calibration", text, "--calibration-tokens", "4096", "--slices", "3",
    ]
    for tasks in [1, 2, 40] { try runAll("plan\(tasks)", tasks: tasks, flags, seed: UInt64(tasks)) }
    #expect(same("plan1.gguf", "plan2.gguf") && same("plan1.gguf", "plan40.gguf"))
    // Nothing of gigabytes stays behind.
    let left = try FileManager.default.subpathsOfDirectory(atPath: folder.path("plan40"))
    #expect(!left.contains { $0.hasSuffix(".gguf") }, "\(left)")
  }

  @Test func storedHessiansGiveTheFileOfConvert() throws {
    try quern(["calibrate", tiny, "--text", text, "--chunks", "6", "-o", "imatrix.gguf", "--hessian", "hessians"])
    let flags = ["--type", "Q4_K_M", "--method", "gptq", "--hessian", "hessians"]
    try quern(["convert", tiny, "-o", "whole.gguf"] + flags)
    try runAll("plan", tasks: 3, flags, seed: 2)
    #expect(same("whole.gguf", "plan.gguf"))
  }

  @Test func stagesAndFinalizingWaitForWhatTheyNeed() throws {
    let flags = ["--type", "Q4_K_M", "--method", "gptq", "--calibration", text, "--calibration-tokens", "2048"]
    _ = try plan("plan", tasks: 2, flags)
    #expect(try quern(["task", "plan", "--index", "0"], code: 75).errors.contains("calibrate"))
    #expect(try quern(["finalize", "plan"], code: 75).errors.contains("[LOCKED]"))
    #expect(!FileManager.default.fileExists(atPath: folder.path("plan.gguf")))
  }

  @Test func aTaskThatHasEndedIsDoneAgainOnlyWhenItsPartIsGone() throws {
    _ = try plan("plan", tasks: 3, ["--type", "Q4_K_M"])
    func outcome(_ index: Int) throws -> String {
      let run = try quern(["task", "plan", "--index", "\(index)", "--json"])
      let json = try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any]
      return try #require(json?["outcome"] as? String)
    }
    for index in 0..<3 { #expect(try outcome(index) == "done") }
    #expect(try outcome(1) == "known")
    // A byte of the last part is another one now.
    let partial = folder.path(".plan.gguf.partial")
    let handle = try #require(FileHandle(forUpdatingAtPath: partial))
    let end = try handle.seekToEnd()
    try handle.seek(toOffset: end - 100)
    let byte = try #require(try handle.read(upToCount: 1)?.first)
    try handle.seek(toOffset: end - 100)
    try handle.write(contentsOf: Data([byte ^ 1]))
    try handle.close()
    let refused = try quern(["finalize", "plan"], code: 65)
    #expect(refused.errors.contains("wrote: 2") && refused.errors.contains("[CRC]"))
    #expect(try outcome(2) == "done")
    try quern(["finalize", "plan"])
    try quern(["convert", tiny, "-o", "whole.gguf", "--type", "Q4_K_M"])
    #expect(same("whole.gguf", "plan.gguf"))
    // Done before, all of it says so again.
    #expect(try outcome(0) == "known")
    try quern(["finalize", "plan"])
  }

  @Test func theNumberOfATaskComesFromTheScheduler() throws {
    _ = try plan("plan", tasks: 2, ["--type", "Q8_0"])
    for (variable, value) in [("SLURM_ARRAY_TASK_ID", "1"), ("JOB_COMPLETION_INDEX", "0"), ("PARALLEL_SEQ", "2")] {
      try quern(["task", "plan"], [variable: value])
    }
    #expect(try quern(["task", "plan"], code: 2).errors.contains("--index"))
    #expect(try quern(["task", "plan"], code: 2, ["OMPI_COMM_WORLD_RANK": "2"]).errors.contains("0 to 1"))
    try quern(["finalize", "plan"])
  }

  @Test func aPlanWhoseModelChangedIsRefused() throws {
    try FileManager.default.copyItem(atPath: tiny, toPath: folder.path("model"))
    let made = try CommandRun(
      CommandRun.quern, ["plan", "model", "--type", "Q8_0", "--tasks", "2", "--gguf", "out.gguf", "-o", "plan"],
      folder: folder.path("."))
    #expect(made.code == 0, "\(made.errors)")
    try quern(["task", "plan", "--index", "0"])
    try FileManager.default.setAttributes(
      [.modificationDate: Date(timeIntervalSince1970: 1)], ofItemAtPath: folder.path("model/model.safetensors"))
    let refused = try quern(["task", "plan", "--index", "1"], code: 75)
    #expect(refused.errors.contains("model") && refused.errors.contains("[CHANGED]"))
  }

  @Test(arguments: ["{", "{}", #"{"quern_plan": 2}"#, #"{"quern_plan": 1, "slices": [], "shares": [[1, 0]]}"#])
  func aDamagedPlanIsRefused(_ json: String) throws {
    _ = try plan("plan", tasks: 2, ["--type", "Q8_0"])
    try json.write(toFile: folder.path("plan/plan.json"), atomically: true, encoding: .utf8)
    #expect([65, 69].contains(try CommandRun(CommandRun.quern, ["finalize", folder.path("plan")]).code))
  }

  /// Parts that no plan has: between pieces, beyond the end, of another number of bytes.
  @Test(arguments: [[0, 7, -1], [0, 1 << 40], [0, 1000]]) func partsOfAnotherPlanAreRefused(_ ends: [Int]) throws {
    _ = try plan("plan", tasks: 2, ["--type", "Q8_0"])
    let file = folder.path("plan/plan.json")
    var json = try #require(
      try JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: file))) as? [String: Any])
    let shares = try #require(json["shares"] as? [[Int]])
    let positions = ends.map { $0 < 0 ? shares[1][1] : $0 }
    json["shares"] = zip(positions, positions.dropFirst()).map { [$0, $1] }
    try JSONSerialization.data(withJSONObject: json).write(to: URL(fileURLWithPath: file))
    let refused = try quern(["task", "plan", "--index", "0"], code: 65)
    #expect(refused.errors.contains("[BOUNDS]"), "\(refused.errors)")
  }

  /// What a task noted is from outside as well.
  @Test func notesThatDoNotJoinAreRefused() throws {
    _ = try plan("plan", tasks: 2, ["--type", "Q8_0"])
    for index in 0..<2 { try quern(["task", "plan", "--index", "\(index)"]) }
    let file = folder.path("plan/convert-1.json")
    let note = try String(contentsOfFile: file, encoding: .utf8)
    for (from, to) in [
      ("\"file\": 0", "\"file\": 9"), ("\"start\": ", "\"start\": 1"), ("\"pieces\": [", "\"pieces\": [], \"x\": ["),
    ] {
      #expect(note.contains(from))
      let changed = note.split(separator: from, omittingEmptySubsequences: false).joined(separator: to)
      try changed.write(toFile: file, atomically: true, encoding: .utf8)
      #expect(try quern(["finalize", "plan"], code: 65).errors.contains("quern: "))
      #expect(!FileManager.default.fileExists(atPath: folder.path("plan.gguf")))
    }
  }

  @Test(arguments: ["slurm", "parallel", "local"]) func submissionsAreScriptsThatAShellReads(_ engine: String) throws {
    _ = try plan("it's a plan", tasks: 3, ["--type", "Q8_0"])
    let script = try CommandRun(
      CommandRun.quern, ["submit", "it's a plan", "--engine", engine, "--print"], folder: folder.path
    ).output
    #expect(script.contains("finalize") && script.contains("--stage convert"))
    _ = try folder.write("script", script)
    #expect(try CommandRun("/bin/sh", ["-n", folder.path("script")]).code == 0)
  }

  @Test func aLocalSubmissionMakesTheFile() throws {
    _ = try plan("it's a plan", tasks: 3, ["--type", "Q8_0"])
    let run = try CommandRun(
      CommandRun.quern, ["submit", "it's a plan", "--engine", "local"], folder: folder.path("."))
    #expect(run.code == 0, "\(run.errors)")
    try quern(["convert", tiny, "-o", "whole.gguf", "--type", "Q8_0"])
    #expect(same("whole.gguf", "it's a plan.gguf"))
  }
}

import Bytes
import Conversion
import TestSupport
import Testing

@Suite struct BatchManifestTests {
  private func manifest(_ text: String, _ environment: [String: String] = [:]) throws -> BatchManifest {
    let folder = try TemporaryFolder()
    return try BatchManifest(reading: folder.write("m.yaml", text)) { environment[$0] }
  }

  private func error(_ text: String, _ environment: [String: String] = [:]) throws -> InputError {
    try #require(throws: InputError.self) { try manifest(text, environment) }
  }

  private static let plain = """
    output: out/{model}-{recipe}.gguf
    models:
      - {name: a, path: /m/a}
      - {name: b, path: /m/b}
    recipes:
      - {name: q4, type: Q4_K_M}
      - {name: q8, type: Q8_0}

    """

  @Test func everyModelMeetsEveryRecipe() throws {
    let jobs = try manifest(BatchManifestTests.plain).jobs
    #expect(jobs.map(\.name) == ["a/q4", "a/q8", "b/q4", "b/q8"])
    #expect(jobs.map(\.input) == ["/m/a", "/m/a", "/m/b", "/m/b"])
    #expect(jobs.allSatisfy { $0.output.hasSuffix("/out/\($0.model)-\($0.recipe).gguf") })
    #expect(jobs[1].conversion == ["--type=Q8_0"] && jobs[1].proof == nil)
  }

  /// Defaults, then the model, then the recipe, then what is said of one job; nothing takes a setting back.
  @Test func whatIsSaidOfFewerJobsCountsForMore() throws {
    let jobs = try manifest(
      """
      output: /o/{model}-{recipe}.gguf
      defaults: {type: Q2_K, pure: true, calibration-tokens: 512, awq: true}
      models:
        - {name: a, path: /m/a, type: Q3_K_M, imatrix: /a.gguf, awq: ~}
        - {name: b, path: /m/b}
      recipes:
        - {name: r, type: Q4_K_M, pure: false}
        - {name: s}
        - {name: t, imatrix: ~}
      include:
        - {model: b, recipe: r, type: Q6_K}
      """
    ).jobs
    let said = Dictionary(uniqueKeysWithValues: jobs.map { ($0.name, $0.conversion) })
    #expect(said["a/r"] == ["--type=Q4_K_M", "--imatrix=/a.gguf", "--calibration-tokens=512"])
    #expect(said["a/s"] == ["--type=Q3_K_M", "--pure", "--imatrix=/a.gguf", "--calibration-tokens=512"])
    #expect(said["a/t"] == ["--type=Q3_K_M", "--pure", "--calibration-tokens=512"])
    #expect(said["b/r"] == ["--type=Q6_K", "--calibration-tokens=512", "--awq"])
    #expect(said["b/s"] == ["--type=Q2_K", "--pure", "--calibration-tokens=512", "--awq"])
  }

  @Test func combinationsAreLeftOutAndAdded() throws {
    let jobs = try manifest(
      BatchManifestTests.plain + """
        exclude: [{recipe: q8}, {model: b, recipe: q4}]
        include: [{model: b, recipe: q8, jobs: 3}]
        """
    ).jobs
    #expect(jobs.map(\.name) == ["a/q4", "b/q8"])
  }

  @Test func gatesAndTextsAreOfTheProof() throws {
    let job = try #require(
      try manifest(BatchManifestTests.plain + "defaults: {text: /t.txt, max-kld: 0.1, chunks: 4, layout: meta}").jobs
        .first)
    #expect(job.proof == ["--layout=meta", "--text=/t.txt", "--chunks=4", "--max-kld=0.1"])
    #expect(job.conversion == ["--layout=meta", "--type=Q4_K_M"])
  }

  @Test func variablesAreReplaced() throws {
    let text = BatchManifestTests.plain.replacing("/m/a", with: "'${ROOT}/${SUB:-x y}/$${ROOT}'")
    #expect(try manifest(text, ["ROOT": "/r"]).jobs[0].input == "/r/x y/${ROOT}")
    #expect(try manifest(text, ["ROOT": "/r", "SUB": "s"]).jobs[0].input == "/r/s/${ROOT}")
    let missing = try error(text)
    #expect(missing.code == .missing && missing.problem.contains("ROOT") && missing.problem.contains("line 3"))
    #expect(missing.subject == "models[1].path")
  }

  @Test(arguments: [
    ("recipes", "recipe", "recipes"), ("type: Q8_0", "typ: Q8_0", "type"), ("path: /m/b", "paht: /m/b", "path"),
  ]) func unknownNamesAreRefusedWithTheNearest(_ old: String, _ new: String, _ nearest: String) throws {
    let found = try error(BatchManifestTests.plain.replacing(old, with: new))
    #expect(found.code == .name)
    #expect(found.remedy?.contains(nearest) == true, "\(found)")
  }

  private static let hostile: [(String, InputError.Code)] = [
    ("", .yaml), ("- a", .yaml), ("models: []\nrecipes: []", .missing), ("models: 3\nrecipes: []", .type),
    (plain.replacing("name: b", with: "name: a"), .duplicate), (plain.replacing("name: b", with: "name: ../b"), .name),
    (plain.replacing("name: b", with: "name: .b"), .name), (plain.replacing("name: b", with: "nam: b"), .missing),
    (plain.replacing("{recipe}", with: ""), .duplicate), (plain.replacing("{recipe}", with: "{reicpe}"), .name),
    (plain.replacing("output: ", with: "state: "), .missing), (plain.replacing("Q8_0", with: "[Q8_0, Q4_0]"), .type),
    (plain.replacing("Q8_0", with: "'Q8_0,Q4_0'"), .unsupported), (plain.replacing("Q8_0", with: "{a: b}"), .type),
    (plain.replacing("/m/a", with: "$ROOT"), .name), (plain.replacing("/m/a", with: "'${ROOT'"), .name),
    (plain.replacing("/m/a", with: "'${A B}'"), .name), (plain.replacing("/m/a", with: "\"a\\0b\""), .path),
    (plain + "exclude: [{model: c}]", .name), (plain + "exclude: [{}]", .missing),
    (plain + "exclude: [{model: a}, {model: a, recipe: q4}]", .missing), (plain + "include: [{model: a}]", .missing),
    (plain + "exclude: [{model: a}, {model: b}]", .missing), (plain + "defaults: {pure: maybe}", .type),
    (plain + "defaults: {max-kld: 0.1}", .missing), (plain + "defaults: {jobs: 0}", .limit),
    (plain + "defaults: {memory: 1K}", .limit), (plain + "defaults: {type: A, type: B}", .yaml),
    (plain + "state: {a: b}", .type), (String(repeating: "[", count: 100_000), .yaml),
    ("models: \(String(repeating: "x", count: 1 << 20))", .limit),
    (
      "a: &a [x, x]\n" + (1..<40).map { "\(name($0)): &\(name($0)) [*\(name($0 - 1)), *\(name($0 - 1))]\n" }.joined(),
      .limit
    ),
  ]

  private static func name(_ number: Int) -> String { number == 0 ? "a" : "a\(number)" }

  @Test(arguments: hostile.indices) func whatIsNoManifestIsRefused(_ index: Int) throws {
    let (text, code) = BatchManifestTests.hostile[index]
    #expect(try error(text).code == code, "\(text.prefix(300))")
  }

  @Test func moreJobsThanAnybodyRunsAreRefused() throws {
    let list = { (key: String) in (0..<101).map { "  - {name: n\($0)\(key)}\n" }.joined() }
    let text =
      "output: /{model}{recipe}\nmodels:\n" + list(", path: x") + "recipes:\n" + list("")
    #expect(try error(text).code == .limit)
  }
}

@Suite struct BatchSchedulerTests {
  private typealias Demand = BatchScheduler.Demand

  /// Jobs of random demands that take random times, some of which fail and are tried again.
  @Test(arguments: 1...50) func theBudgetIsNeverPassedAndEveryJobEnds(_ seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let budget = Demand(
      threads: Int.random(in: 1...8, using: &random), memory: Int.random(in: 10...100, using: &random))
    let demands = (0..<Int.random(in: 1...40, using: &random)).map { _ in
      Demand(
        threads: Int.random(in: 1...budget.threads, using: &random),
        memory: Int.random(in: 0...budget.memory, using: &random))
    }
    var scheduler = BatchScheduler(demands, budget: budget, retries: 2)
    var running: [(job: Int, until: Double)] = []
    var starts = demands.map { _ in 0 }
    var time = 0.0
    while !scheduler.isDone {
      for job in scheduler.start(at: time) {
        running.append((job, time + Double.random(in: 0.1...5, using: &random)))
        starts[job] += 1
      }
      #expect(running.reduce(0) { $0 + demands[$1.job].threads } <= budget.threads)
      #expect(running.reduce(0) { $0 + demands[$1.job].memory } <= budget.memory)
      #expect(scheduler.used.threads == running.reduce(0) { $0 + demands[$1.job].threads })
      time += 0.25
      for (job, _) in running where running.first(where: { $0.job == job })!.until <= time {
        running.removeAll { $0.job == job }
        _ = scheduler.ended(job, mayRetry: Bool.random(using: &random), at: time)
      }
      if time > 10_000 { Issue.record("jobs that never end"); break }
    }
    #expect(starts.allSatisfy { (1...3).contains($0) })
  }

  @Test func whatIsToBeTriedAgainWaitsLongerEachTimeAndNotForEver() {
    var scheduler = BatchScheduler(
      [Demand(threads: 1, memory: 1)], budget: Demand(threads: 1, memory: 1), retries: 3)
    var (time, pauses) = (0.0, [Double]())
    while true {
      #expect(scheduler.start(at: time) == [0])
      guard let pause = scheduler.ended(0, mayRetry: true, at: time) else { break }
      #expect(scheduler.start(at: time + pause - 0.01).isEmpty)
      pauses.append(pause)
      time += pause
    }
    #expect(pauses == [1, 2, 4])
    #expect(scheduler.isDone)
  }

  @Test func theThreadsAreDividedBetweenTheJobsThatMemoryLetsRun() {
    let wishes: [(threads: Int?, memory: Int?)] = Array(repeating: (nil, nil), count: 6)
    let gigabyte = 1 << 30
    func demands(_ memory: Int) -> [Demand] {
      BatchScheduler.demands(wishes, budget: Demand(threads: 16, memory: memory * gigabyte), memory: 4 * gigabyte)
    }
    #expect(demands(16).allSatisfy { $0 == Demand(threads: 4, memory: 4 * gigabyte) })
    #expect(demands(4).allSatisfy { $0 == Demand(threads: 16, memory: 4 * gigabyte) })
    #expect(demands(2).allSatisfy { $0 == Demand(threads: 16, memory: 2 * gigabyte) })
  }

  /// A large job behind small ones gets its turn.
  @Test func aJobThatDoesNotFitIsNotOvertaken() {
    let demands = [2, 4, 1].map { Demand(threads: $0, memory: 1) }
    var scheduler = BatchScheduler(demands, budget: Demand(threads: 4, memory: 10), retries: 0)
    #expect(scheduler.start(at: 0) == [0])
    _ = scheduler.ended(0, mayRetry: false, at: 1)
    #expect(scheduler.start(at: 1) == [1])
  }
}

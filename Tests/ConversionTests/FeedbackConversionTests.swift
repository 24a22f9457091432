import Bytes
import Conversion
import Quantization
import TestSupport
import Testing

/// Conversions that are calibrated: what they gain, and that they are the same every time.
@Suite struct FeedbackConversionTests {
  private static let tokens = 16_384

  /// Converts tiny-llama to Q4_K_M; `sized` chooses types for the bytes of the plain plan times it.
  private static func convert(
    _ path: String, feedback: FeedbackOptions? = nil, search: Converter.Rounding.Search = .standard,
    sized: Double? = nil, jobs: Int = 2
  ) throws -> (sha256: String, bytes: Int) {
    let input = try ModelInput(opening: Fixtures.path("tiny-llama"))
    let text = try CalibrationText(
      [TextFile(reading: Fixtures.path("text/python-docs-calibrate.txt"))], for: input, tokens: tokens)
    var plan = try ConversionPlan(input, recipe: Recipe(.q4_K_M))
    let rounding = Converter.Rounding(search: search, feedback: feedback.map { (.text(text), $0) })
    if let sized {
      let scratch = try ScratchFile(beside: path)
      plan = try TypeAllocation(plan, of: input, rounding: rounding, text: text, jobs: jobs, stateBytes: 1 << 28)
        .solve(fileBytes: Int(Double(plan.fileBytes) * sized), scratch: scratch).plan
    }
    let result = try Converter(plan: plan, jobs: jobs, rounding: rounding)
      .run(into: OutputFile(path), checking: input)
    return (result.sha256, result.fileBytes)
  }

  private static func divergence(_ paths: [String]) throws -> [Double] {
    try Verification(
      candidates: paths.map { try ModelInput(opening: $0) },
      reference: ModelInput(opening: Fixtures.path("tiny-llama")),
      text: TextFile(reading: Fixtures.path("text/python-docs-evaluate.txt")),
      options: WalkOptions(context: 512, chunks: 8, jobs: 2)
    ).run().candidates.map(\.drift.meanDivergence)
  }

  /// On a text that it did not see, at the same number of bytes.
  @Test func everyStepLosesLess() throws {
    let folder = try TemporaryFolder()
    let names = ["plain", "thorough", "feedback", "allocated"].map { folder.path($0 + ".gguf") }
    let plain = try FeedbackConversionTests.convert(names[0])
    let thorough = try FeedbackConversionTests.convert(names[1], search: .thorough)
    let feedback = try FeedbackConversionTests.convert(names[2], feedback: FeedbackOptions(), search: .thorough)
    let allocated = try FeedbackConversionTests.convert(
      names[3], feedback: FeedbackOptions(), search: .thorough, sized: 1)
    #expect(plain.bytes == thorough.bytes && plain.bytes == feedback.bytes)
    #expect(allocated.bytes <= plain.bytes && allocated.bytes > plain.bytes * 99 / 100)
    let losses = try FeedbackConversionTests.divergence(names)
    #expect(losses[2] < 0.75 * losses[0])
    #expect(losses[3] < 0.45 * losses[0])
    #expect(try folder.names().filter { $0.contains("types") }.isEmpty)
  }

  @Test func theBytesDependOnNoThread() throws {
    let folder = try TemporaryFolder()
    let made = try [1, 3].map { jobs in
      try FeedbackConversionTests.convert(
        folder.path("\(jobs).gguf"), feedback: FeedbackOptions(), search: .thorough, sized: 0.9, jobs: jobs)
    }
    #expect(made[0].sha256 == made[1].sha256)
    #expect(made[0].bytes == made[1].bytes)
  }

  @Test func aSeedDrawsTheChunks() throws {
    let input = try ModelInput(opening: Fixtures.path("tiny-llama"))
    let texts = try ["calibrate", "evaluate"].map { try TextFile(reading: Fixtures.path("text/python-docs-\($0).txt")) }
    func chunks(_ seed: UInt64?, tokens: Int = 16 * 512) throws -> [[Int32]] {
      try CalibrationText(texts, for: input, tokens: tokens, seed: seed).chunks
    }
    #expect(try chunks(1) == chunks(1))
    #expect(try chunks(1) != chunks(2))
    #expect(try chunks(1) != chunks(nil))
    #expect(try chunks(nil) == chunks(nil))
    #expect(try chunks(1).count == 16 && Set(chunks(1)).count == 16)
    // Where all chunks are taken there is nothing to draw.
    #expect(try chunks(3, tokens: 1 << 24) == chunks(nil, tokens: 1 << 24))
  }

  /// What was measured before the interruption is not measured again, and the types are the same.
  @Test func anInterruptedAllocationGoesOn() throws {
    struct Interruption: Error {}
    let folder = try TemporaryFolder()
    let input = try ModelInput(opening: Fixtures.path("tiny-llama"))
    let text = try CalibrationText(
      [TextFile(reading: Fixtures.path("text/python-docs-calibrate.txt"))], for: input, tokens: 4096)
    let plan = try ConversionPlan(input, recipe: Recipe(.q4_K_M))
    func solve(
      _ known: [TypeAllocation.Sensitivity], _ measured: ([TypeAllocation.Sensitivity]) throws -> Void
    ) throws -> TypeAllocation.Result {
      let scratch = try ScratchFile(beside: folder.path("out"))
      return try TypeAllocation(
        plan, of: input, rounding: Converter.Rounding(feedback: (.text(text), FeedbackOptions())), text: text, jobs: 2,
        stateBytes: 1 << 28
      ).solve(fileBytes: plan.fileBytes, scratch: scratch, known: known, measured: measured)
    }
    var whole: [TypeAllocation.Sensitivity] = []
    let reference = try solve([]) { whole += $0 }

    let state = try RunState(beside: folder.path("out"), identity: [])
    var count = 0
    #expect(throws: Interruption.self) {
      try solve([]) {
        try state.append($0)
        count += $0.count
        if count >= 20 { throw Interruption() }
      }
    }
    let known = try state.sensitivities()
    #expect(known.count == count && count < whole.count)
    var rest: [TypeAllocation.Sensitivity] = []
    let resumed = try solve(known) { rest += $0 }
    #expect(rest.count == whole.count - count)
    #expect(Set((known + rest).map(\.tensor)) == Set(whole.map(\.tensor)))
    #expect(resumed.plan.entries.map(\.type) == reference.plan.entries.map(\.type))
    #expect(resumed.before == reference.before && resumed.after == reference.after)
    try state.remove()
  }

  /// Before anything is measured, and with the size that is needed.
  @Test func aSizeThatNothingFitsIsRefused() throws {
    let folder = try TemporaryFolder()
    let input = try ModelInput(opening: Fixtures.path("tiny-llama"))
    let text = try CalibrationText(
      [TextFile(reading: Fixtures.path("text/python-docs-calibrate.txt"))], for: input, tokens: 4096)
    let plan = try ConversionPlan(input, recipe: Recipe(.q4_K_M))
    func solve(_ bytes: Int, _ progress: ProgressHandler? = nil) throws -> TypeAllocation.Result {
      try TypeAllocation(
        plan, of: input, rounding: Converter.Rounding(), text: text, jobs: 2, stateBytes: 1 << 28
      ).solve(fileBytes: bytes, scratch: ScratchFile(beside: folder.path("out")), progress: progress)
    }
    let error = #expect(throws: InputError.self) {
      try solve(1_000_000) { _ in Issue.record("it has begun to measure") }
    }
    #expect(error?.code == .limit)
    let least = try #require(error?.remedy?.split(separator: " ").lazy.compactMap { Int($0) }.first)
    #expect(throws: InputError.self) {
      try solve(least - 1) { _ in Issue.record("it has begun to measure") }
    }
    let result = try solve(least)
    #expect(result.plan.fileBytes == least)
    #expect(result.plan.entries.filter { $0.type.isBlock }.allSatisfy { $0.type == .q2_K })
    #expect(try folder.names().isEmpty)
  }

  /// A synthetic Mixtral: experts are rounded by what the tokens that chose them say.
  @Test func expertsLoseLessAndThoseOfFewTokensAreTold() throws {
    let family = try FamilyConversionTests.Family("mixtral")
    let folder = try family.folder([("model.safetensors", family.entries())])
    let source = try folder.write(
      "text",
      RandomAccessFile(Fixtures.path("text/python-docs-calibrate.txt")).readAll(limit: 1 << 20).prefix(16_000).map(
        \.self))
    let (input, text) = (try ModelInput(opening: folder.path("model")), try TextFile(reading: source))
    let calibration = try CalibrationText([text], for: input, tokens: 1 << 20, context: 128)
    func convert(_ name: String, _ feedback: FeedbackOptions?, jobs: Int = 2) throws -> Converter.Written {
      try Converter(
        plan: ConversionPlan(input, recipe: Recipe(.q4_0)), jobs: jobs,
        rounding: Converter.Rounding(feedback: feedback.map { (.text(calibration), $0) })
      ).run(into: OutputFile(folder.path(name), overwrites: true), checking: input)
    }
    // As the importance matrix of the same tokens counts them, where nothing before them is rounded.
    var options = FeedbackOptions()
    options.isSequential = false
    let counts = try ImportanceRun(
      model: input, texts: [text], options: WalkOptions(context: 128, jobs: 2), measuresOutput: false
    ).run().sums
    for perColumn in [1.0, 2, 5] {
      options.tokensPerColumn = perColumn
      let told = try convert("counted.gguf", options).fallbacks.map { "\($0.tensor) \($0.expert ?? -1)" }
      let few = counts.flatMap { name, sums in
        sums.counts.enumerated().filter { Double($0.element) < perColumn * 256 && sums.counts.count > 1 }
          .map { "\(name.string) \($0.offset)" }
      }
      #expect(told.filter { $0.contains("exps") }.sorted() == few.sorted(), "\(perColumn)")
    }
    let once = try convert("feedback.gguf", FeedbackOptions())
    #expect(try convert("again.gguf", FeedbackOptions(), jobs: 3).sha256 == once.sha256)
    _ = try convert("plain.gguf", nil)
    let divergences = try Verification(
      candidates: ["feedback.gguf", "plain.gguf"].map { try ModelInput(opening: folder.path($0)) }, reference: input,
      text: TextFile(reading: Fixtures.path("text/python-docs-evaluate.txt")),
      options: WalkOptions(context: 128, chunks: 16, jobs: 2)
    ).run().candidates.map(\.drift.meanDivergence)
    #expect(divergences[0] < 0.9 * divergences[1], "\(divergences)")
  }

  @Test func whatHasNoFactorIsRoundedPlainlyAndTold() throws {
    let folder = try TemporaryFolder()
    let input = try ModelInput(opening: Fixtures.path("tiny-llama"))
    let text = try CalibrationText(
      [TextFile(reading: Fixtures.path("text/python-docs-calibrate.txt"))], for: input, tokens: 512)
    let plan = try ConversionPlan(input, recipe: Recipe(.q4_K_M))
    let result = try Converter(
      plan: plan, jobs: 2, rounding: Converter.Rounding(feedback: (.text(text), FeedbackOptions()))
    )
    .run(into: OutputFile(folder.path("few.gguf")), checking: input)
    // 512 tokens are enough for 256 columns and too few for the 768 of the down projections.
    #expect(result.fallbacks.map(\.tensor) == (0..<6).map { "blk.\($0).ffn_down.weight" })
    #expect(
      result.fallbacks.first?.line
        == "blk.0.ffn_down.weight: 512 tokens of the calibration text reach it, too few for 768 columns; "
        + "rounded without feedback")
  }
}

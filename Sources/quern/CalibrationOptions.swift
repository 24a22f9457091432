import ArgumentParser
import Bytes
import Conversion
import Quantization

/// Flags that spend time to lose less at the same size.
struct CalibrationOptions: ParsableArguments {
  enum Method: String, ExpressibleByArgument, CaseIterable {
    case rtn, gptq
  }

  enum Quality: String, ExpressibleByArgument, CaseIterable {
    case best
  }

  @Option(
    help: ArgumentHelp(
      "How weights are rounded: rtn, each to the nearest, the same bytes as llama-quantize; or gptq, each error made good by "
        + "the columns after it, with the text of --calibration.", valueName: "method"))
  var method: Method?

  @Option(
    help: ArgumentHelp(
      "How the scales of a block are found: standard, as ggml does; or thorough, moved on while the error falls.",
      valueName: "search"))
  var search = Converter.Rounding.Search.standard

  @Option(
    help: ArgumentHelp(
      "A text to calibrate on. Repeatable: every text gets the same share. Use texts of the kinds that the model will see.",
      valueName: "file"))
  var calibration: [String] = []

  @Option(
    help: ArgumentHelp(
      "For gptq, take the Hessians in this folder of quern calibrate instead of walking a text. They are of the model as it "
        + "is: blocks do not see what rounding the ones before them did, as with --gptq sequential=off.",
      valueName: "folder"))
  var hessian: String?

  @Option(help: ArgumentHelp("Tokens of all calibration texts together.", valueName: "count"))
  var calibrationTokens = 131_072

  @Option(help: ArgumentHelp("Tokens in a chunk of calibration text.", valueName: "count"))
  var calibrationContext = 512

  @Option(
    help: ArgumentHelp(
      "Draw the chunks of each text with this seed. (default: chunks at even distances)", valueName: "number"))
  var calibrationSeed: UInt64?

  @Flag(
    help: """
      Scale channels between layers before rounding, where that lessens the error of what the layers put out (AWQ). The \
      file is an ordinary model; needs --calibration.
      """)
  var awq = false

  @Flag(
    help: """
      Choose every tensor's type by what rounding it does to the model's predictions, within the size that --type alone \
      would have, or that of --target-size.
      """)
  var allocate = false

  @Option(
    help: ArgumentHelp("Choose types for a file of this size, such as 4.5G; implies --allocate.", valueName: "size"))
  var targetSize: ByteSize?

  @Option(help: ArgumentHelp("The same by bits a weight, such as 4.8.", valueName: "bits"))
  var targetBpw: Double?

  @Option(
    help: ArgumentHelp(
      "best: what measurement says is best, --method gptq --allocate. Takes the time of some passes over the text.",
      valueName: "quality"))
  var quality: Quality?

  @Option(
    name: .customLong("gptq"),
    help: ArgumentHelp(
      "Change how gptq works: damping=0.01, order=importance|natural, sequential=on|off, asymmetry=0.25, refine=on|off. "
        + "Repeatable.", valueName: "key=value"))
  var settings: [FeedbackSetting] = []

  var usesFeedback: Bool { (method ?? (quality == .best ? .gptq : .rtn)) == .gptq }
  var allocates: Bool { allocate || targetSize != nil || targetBpw != nil || quality == .best }

  /// Whether anything is found out for the one type that is asked for.
  var looksAtTypes: Bool { usesFeedback || allocates || awq }

  func validate() throws {
    if needsText, calibration.isEmpty {
      throw ValidationError("Give the text to calibrate on with --calibration.")
    }
    if hessian != nil { try validateHessian() }
    if !usesFeedback, !settings.isEmpty { throw ValidationError("--gptq needs --method gptq.") }
    if targetSize != nil, targetBpw != nil { throw ValidationError("Give either --target-size or --target-bpw.") }
    if let targetBpw, !(targetBpw > 0 && targetBpw <= 32) { throw ValidationError("--target-bpw is from 0 to 32.") }
    if !(16...1 << 20).contains(calibrationContext) || calibrationTokens < calibrationContext {
      throw ValidationError("--calibration-tokens must hold a chunk of --calibration-context, which is at least 16.")
    }
    if allocates, calibrationTokens < 2 * calibrationContext {
      throw ValidationError("--allocate needs --calibration-tokens for two chunks of --calibration-context.")
    }
  }

  private func validateHessian() throws {
    if !usesFeedback { throw ValidationError("--hessian needs --method gptq.") }
    if awq { throw ValidationError("--hessian is of the model as it is, --awq changes it: leave one out.") }
    if !needsText, !calibration.isEmpty {
      throw ValidationError(
        "--hessian takes the place of --calibration: leave one out, or choose types with --allocate.")
    }
    if settings.contains(where: \.needsText) {
      throw ValidationError(
        "--hessian is of the model as it is; sequential=on and asymmetry need --calibration in its place.")
    }
  }

  /// Whether a text is walked.
  private var needsText: Bool { (usesFeedback && hessian == nil) || allocates || awq }

  /// - Returns: `nil` when no text is needed.
  func text(for input: ModelInput) throws -> CalibrationText? {
    guard needsText else { return nil }
    return try CalibrationText(
      calibration.map { try TextFile(reading: $0) }, for: input, tokens: calibrationTokens, context: calibrationContext,
      seed: calibrationSeed)
  }

  /// - Parameters:
  ///   - text: of `text(for:)`.
  ///   - hessians: of `hessian`.
  func rounding(
    importance: ImportanceMatrix?, text: CalibrationText?, hessians: HessianFolder?
  ) -> Converter.Rounding {
    var options = FeedbackOptions()
    for setting in settings { setting.apply(&options) }
    if hessians != nil { options.isSequential = false }
    let source = hessians.map(FeedbackSource.stored) ?? text.map(FeedbackSource.text)
    return Converter.Rounding(
      importance: importance, search: search,
      feedback: usesFeedback ? source.map { ($0, options) } : nil)
  }

  /// All that decides how weights are rounded, in words.
  func summary(_ rounding: Converter.Rounding, targetBytes: Int?) -> String {
    "awq \(awq), search \(rounding.search), feedback \(rounding.feedback.map { "\($0.options)" } ?? "none"), "
      + "bytes \(targetBytes.map(String.init) ?? "of the recipe")"
  }

  /// Bytes of the output that types are chosen for.
  func targetBytes(_ plan: ConversionPlan) -> Int? {
    guard allocates else { return nil }
    if let targetSize { return targetSize.bytes }
    if let targetBpw { return plan.fileBytes(atBitsPerWeight: targetBpw) }
    return plan.fileBytes
  }
}

extension Converter.Rounding.Search: ExpressibleByArgument {}

/// `KEY=VALUE` of `--gptq`.
struct FeedbackSetting: ExpressibleByArgument {
  private let change: @Sendable (inout FeedbackOptions) -> Void
  /// Whether it is about what a text shows of blocks that are rounded.
  private(set) var needsText = false
  /// As it was given.
  let argument: String

  init?(argument: String) {
    self.argument = argument
    let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
    guard parts.count == 2 else { return nil }
    let switches = ["on": true, "off": false]
    switch (parts[0], parts[1]) {
    case ("damping", let text):
      guard let value = Double(text), value > 0, value <= 1 else { return nil }
      change = { $0.damping = value }
    case ("asymmetry", let text):
      guard let value = Double(text), (0...1).contains(value) else { return nil }
      change = { $0.asymmetry = value }
      needsText = value > 0
    case ("order", "importance"): change = { $0.isOrdered = true }
    case ("order", "natural"): change = { $0.isOrdered = false }
    case ("sequential", let text):
      guard let value = switches[text] else { return nil }
      change = { $0.isSequential = value }
      needsText = value
    case ("refine", let text):
      guard let value = switches[text] else { return nil }
      change = { $0.refines = value }
    default: return nil
    }
  }

  func apply(_ options: inout FeedbackOptions) { change(&options) }
}

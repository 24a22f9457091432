import ArgumentParser
import Bytes
import Conversion
import Quantization

/// What one `quern convert` makes of its input: an output for each type, from planning to publishing.
struct ConversionJob {
  /// One of the outputs.
  struct Output {
    let path: String
    let recipe: Recipe
    var plan: ConversionPlan
    /// What it and its types are written to, once that is open.
    var target: Converter.Target?
    var recipeFile: OutputFile?
  }

  private let flags: Convert
  private let console: Console
  /// The model, its channels scaled if that was asked for.
  private var input: ModelInput
  private let calibration: CalibrationText?
  private let hessians: HessianFolder?
  private var rounding: Converter.Rounding
  let provenance: ConversionProvenance?
  private(set) var outputs: [Output] = []

  var isCalibrated: Bool { calibration != nil || hessians != nil }

  /// Plans every output; nothing is written.
  /// - Throws: `ValidationError` when two outputs would be the same file; what planning throws.
  init(_ flags: Convert, _ input: ModelInput, _ recipes: [Recipe], _ console: Console) throws {
    (self.flags, self.input, self.console) = (flags, input, console)
    let importance = try flags.conversion.importance()
    let calibrating = flags.conversion.calibrating
    calibration = try calibrating.text(for: input)
    hessians = try flags.conversion.hessians(for: input)
    rounding = calibrating.rounding(importance: importance, text: calibration, hessians: hessians)
    provenance = try flags.provenance.record(
      of: input, flags.conversion, rounding, text: calibration, hessians: hessians, jobs: flags.compute.threads,
      progress: console.progress())
    for recipe in recipes {
      let path = try flags.output.path(type: recipe.fileType.name, name: input.name)
      guard !outputs.contains(where: { $0.path == path }) else {
        throw ValidationError("--type has \(recipe.fileType.name) twice.")
      }
      outputs.append(Output(path: path, recipe: recipe, plan: try plan(recipe)))
    }
  }

  private func plan(_ recipe: Recipe) throws -> ConversionPlan {
    try flags.conversion.plan(input, recipe, rounding, provenance: provenance)
  }

  private var calibrating: CalibrationOptions { flags.conversion.calibrating }

  /// Opens all that will be written, so that names which may not be are told of before what may take hours, and so is room
  /// or memory that is not there.
  mutating func open() throws {
    for index in outputs.indices {
      if let template = flags.saveRecipe {
        let path = try template.path(type: outputs[index].recipe.fileType.name, name: input.name)
        outputs[index].recipeFile = try OutputFile(path, overwrites: flags.force)
      }
      if !flags.dryRun { try openFiles(of: index) }
    }
    try converter.checkMemory()
    guard !flags.dryRun else { return }
    for index in outputs.indices {
      guard let output = outputs[index].target?.output else { continue }
      let plan = outputs[index].plan
      let identity = RunState.identity(
        converting: input, plan, text: calibration, importance: rounding.importance, hessians: hessians,
        options: calibrating.summary(rounding, targetBytes: calibrating.targetBytes(plan)))
      outputs[index].target?.state = try RunState(converting: identity, into: output, resumes: !flags.noResume)
      outputs[index].target?.hiddenStates = try FeedbackCheckpoints(
        beside: output.path, identity: identity, interval: .seconds(flags.saveStates), resumes: !flags.noResume)
    }
    try reserve()
  }

  private mutating func openFiles(of index: Int) throws {
    let (path, layouts, former) = (outputs[index].path, outputs[index].plan.layouts, outputs[index].target)
    outputs[index].target = nil
    outputs[index].target = Converter.Target(
      try OutputSet(path, layouts, overwrites: flags.force, resumes: !flags.noResume), state: former?.state,
      hiddenStates: former?.hiddenStates,
      attestation: try former?.attestation
        ?? provenance.map {
          try Attestation(
            of: $0, fileType: outputs[index].recipe.fileType.name, beside: path, overwrites: flags.force)
        })
  }

  /// Takes the room for all outputs.
  private func reserve() throws {
    let sizes = outputs.map { output in
      guard let target = calibrating.targetBytes(output.plan), output.plan.layouts.count == 1 else {
        return output.plan.layouts.map(\.fileSize)
      }
      return [target]
    }
    var others = try zip(outputs, sizes).reduce(0) { try $0 + ($1.0.target?.output.missingBytes(for: $1.1) ?? 0) }
    for (output, sizes) in zip(outputs, sizes) {
      guard let target = output.target else { continue }
      others -= try target.output.missingBytes(for: sizes)
      // Blocks rounded with feedback are kept beside the output until it is whole.
      let kept =
        calibrating.usesFeedback ? output.plan.feedbackBytes * sizes.reduce(0, +) / output.plan.fileBytes : 0
      try target.output.reserve(sizes, others: others + max(0, kept - (target.state?.fileBytes ?? 0)))
    }
  }

  /// Scales channels and chooses types, as far as that is asked for.
  mutating func prepare() throws {
    if let calibration { try calibrate(with: calibration) }
    for output in outputs {
      let text = Array(output.plan.recipeText(output.recipe.fileType).utf8)
      try unsafe output.recipeFile?.write(text.span.bytes, at: 0)
    }
  }

  func publishRecipes() throws { for output in outputs { try output.recipeFile?.publish() } }

  /// Makes the outputs.
  /// - Returns: of each, what was written or why it was not.
  func convert() throws -> [Result<Converter.Written, any Error>] {
    try converter.run(
      into: outputs.compactMap(\.target), checking: input, saveInterval: .seconds(flags.saveEvery),
      progress: console.progress())
  }

  private var converter: Converter {
    Converter(
      plans: outputs.map(\.plan), jobs: flags.compute.threads, rounding: rounding, memory: flags.compute.memory.bytes)
  }

  /// What looks at the one output's types: there are not several then.
  private mutating func calibrate(with text: CalibrationText) throws {
    var plan = outputs[0].plan
    let (size, state) = (calibrating.targetBytes(plan), outputs[0].target?.state)
    if calibrating.awq {
      let found = try ScalingRun(input, plan, rounding: rounding, text: text, jobs: flags.compute.threads)
        .run(progress: console.progress())
      console.say(
        "channels scaled in \(found.scaled) of \(found.places) places: the error of what layers put out is "
          + "\(decimals(found.error, 3)) of what it was")
      input = found.input
      rounding.importance = found.importance
      plan = try self.plan(outputs[0].recipe)
    }
    if let known = try state.flatMap({ try plan.withTypes(of: $0) }) {
      plan = known
    } else if let size {
      plan = try allocate(size, plan, text, state)
      if let state { try plan.saveTypes(in: state) }
    }
    let isCutOtherwise = plan.layouts.count != outputs[0].plan.layouts.count
    outputs[0].plan = plan
    if isCutOtherwise, !flags.dryRun { try openFiles(of: 0) }
  }

  /// `plan` with the types that lose least within `size` bytes.
  private func allocate(
    _ size: Int, _ plan: ConversionPlan, _ text: CalibrationText, _ state: RunState?
  ) throws -> ConversionPlan {
    let scratch = try ScratchFile(beside: outputs[0].path)
    let result = try TypeAllocation(
      plan, of: input, rounding: rounding, text: text, jobs: flags.compute.threads,
      stateBytes: flags.compute.memory.bytes / 2
    ).solve(
      fileBytes: size, scratch: scratch, known: state?.sensitivities() ?? [], progress: console.progress()
    ) { try state?.append($0) }
    console.say(
      "types chosen for \(megabytes(result.plan.fileBytes)): the tensors alone would cost \(decimals(result.after, 6)) nats, "
        + "\(decimals(result.before, 6)) as --type has them; \(result.plan.typeSummary)")
    let recipe = result.measured.recipe.map { ", \(decimals($0, 6)) with those of --type" } ?? ""
    console.say(
      "rounded plainly, the model diverges by \(decimals(result.measured.chosen, 6)) nats with them\(recipe)"
        + (result.keepsRecipe ? "; the types of --type stay" : ""))
    return result.plan
  }
}

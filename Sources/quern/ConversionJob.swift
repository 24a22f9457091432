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
    /// The files that it and its types are written to, once they are open.
    var files: OutputSet?
    var recipeFile: OutputFile?
  }

  private let flags: Convert
  private let console: Console
  /// The model, its channels scaled if that was asked for.
  private var input: ModelInput
  private let calibration: CalibrationText?
  private var rounding: Converter.Rounding
  private var state: RunState?
  private(set) var outputs: [Output] = []

  var isCalibrated: Bool { calibration != nil }

  /// Plans every output; nothing is written.
  /// - Throws: `ValidationError` when two outputs would be the same file; what planning throws.
  init(_ flags: Convert, _ input: ModelInput, _ recipes: [Recipe], _ console: Console) throws {
    (self.flags, self.input, self.console) = (flags, input, console)
    let importance = try flags.imatrix.map { try ImportanceMatrix(reading: $0) }
    calibration = try flags.calibrating.text(for: input)
    rounding = flags.calibrating.rounding(importance: importance, text: calibration)
    for recipe in recipes {
      let path = try flags.output.path(type: recipe.fileType.name, name: input.name)
      guard !outputs.contains(where: { $0.path == path }) else {
        throw ValidationError("--type has \(recipe.fileType.name) twice.")
      }
      outputs.append(Output(path: path, recipe: recipe, plan: try plan(recipe)))
    }
  }

  private func plan(_ recipe: Recipe) throws -> ConversionPlan {
    try ConversionPlan(
      input, recipe: recipe, importance: rounding.importance, overriding: flags.overrides.map { ($0.key, $0.value) },
      limits: flags.split.limits)
  }

  /// Opens all that will be written, so that names which may not be are told of before what may take hours.
  mutating func open() throws {
    do {
      for index in outputs.indices {
        if let template = flags.saveRecipe {
          let path = try template.path(type: outputs[index].recipe.fileType.name, name: input.name)
          outputs[index].recipeFile = try OutputFile(path, overwrites: flags.force)
        }
        if !flags.dryRun { try openFiles(of: index) }
      }
    } catch {
      discard()
      throw error
    }
  }

  private mutating func openFiles(of index: Int) throws {
    outputs[index].files?.discard()
    outputs[index].files = nil
    outputs[index].files = try OutputSet(outputs[index].path, outputs[index].plan.layouts, overwrites: flags.force)
  }

  /// Scales channels, chooses types, saves them: as far as that is asked for. On an error nothing is left behind.
  mutating func prepare() throws {
    do {
      if let calibration { try calibrate(with: calibration) }
      for index in outputs.indices {
        guard let file = outputs[index].recipeFile else { continue }
        let text = Array(outputs[index].plan.recipeText(outputs[index].recipe.fileType).utf8)
        try unsafe file.write(text.span.bytes, at: 0)
        outputs[index].recipeFile = nil
        try file.publish()
      }
    } catch {
      discard()
      throw error
    }
  }

  /// Makes the outputs.
  /// - Returns: of each, what was written or why it was not.
  func convert() throws -> [Result<Converter.Written, any Error>] {
    try Converter(plans: outputs.map(\.plan), jobs: flags.compute.threads, rounding: rounding).run(
      into: outputs.compactMap(\.files), checking: input, state: state, progress: console.progress())
  }

  private func discard() {
    for output in outputs {
      output.recipeFile?.discard()
      output.files?.discard()
    }
  }

  /// What looks at the one output's types: there are not several then.
  private mutating func calibrate(with text: CalibrationText) throws {
    var plan = outputs[0].plan
    let size = flags.calibrating.targetBytes(plan)
    if !flags.dryRun {
      state = try RunState(
        beside: outputs[0].path,
        identity: RunState.identity(
          converting: input, plan, text: text, importance: rounding.importance,
          options: flags.calibrating.summary(rounding, targetBytes: size)),
        resumes: !flags.noResume)
    }
    if flags.calibrating.awq {
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
      plan = try allocate(size, plan, text)
      if let state { try plan.saveTypes(in: state) }
    }
    let isCutOtherwise = plan.layouts.count != outputs[0].plan.layouts.count
    outputs[0].plan = plan
    if isCutOtherwise, !flags.dryRun { try openFiles(of: 0) }
  }

  /// `plan` with the types that lose least within `size` bytes.
  private func allocate(_ size: Int, _ plan: ConversionPlan, _ text: CalibrationText) throws -> ConversionPlan {
    let scratch = try OutputFile(outputs[0].path + ".types", overwrites: true)
    defer { scratch.discard() }
    let result = try TypeAllocation(
      plan, of: input, rounding: rounding, text: text, jobs: flags.compute.threads,
      stateBytes: flags.compute.memory.bytes / 2
    ).solve(fileBytes: size, scratch: scratch, progress: console.progress())
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

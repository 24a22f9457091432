import Bytes
import Quantization

/// What the tasks of a plan work on: the same in every process.
public struct SpreadWork: Sendable {
  let input: ModelInput
  public let plan: ConversionPlan
  let rounding: Converter.Rounding
  /// Whose Hessians are to be summed; `nil` where nothing is calibrated.
  let text: CalibrationText?
  let identity: RunIdentity

  /// - Parameters:
  ///   - rounding: how; where it learns from a text, that is cut into slices.
  ///   - options: all that decides the output beside model, recipe, texts and importance.
  public init(
    _ input: ModelInput, _ plan: ConversionPlan, rounding: Converter.Rounding, options: String
  ) {
    var (rounding, text, hessians) = (rounding, CalibrationText?.none, HessianFolder?.none)
    if case .text(let walked)? = rounding.feedback?.source { text = walked }
    if case .stored(let stored)? = rounding.feedback?.source { hessians = stored }
    // Blocks are rounded apart: none sees what rounding the ones before it did.
    rounding.feedback?.options.isSequential = false
    (self.input, self.plan, self.rounding, self.text) = (input, plan, rounding, text)
    identity = RunState.identity(
      converting: input, plan, text: text, importance: rounding.importance, hessians: hessians, options: options)
  }

  /// Hessians of a slice of the text.
  func calibrate(
    _ slice: Int, of count: Int, into path: String, jobs: Int, memory: Int, progress: ProgressHandler?
  ) throws {
    guard let text else { return }
    let part = text.slice(slice, of: count)
    try HessianRun(model: input, text: part, jobs: jobs, memory: memory).run(into: path, progress: progress)
  }

  /// How the weights of some blocks are rounded, from the Hessians of all slices.
  func rounding(_ folder: SpreadFolder, blocks: Range<Int>, progress: ProgressHandler?) throws -> Converter.Rounding {
    guard text != nil else { return rounding }
    let slices = try (0..<folder.plan.sliceCount).map { try HessianFolder(reading: folder.slicePath($0)) }
    var rounding = rounding
    rounding.feedback?.source = .stored(
      try HessianFolder.merge(
        slices, into: folder.sumPath, for: input, layers: blocks, overwrites: true, progress: progress))
    return rounding
  }
}

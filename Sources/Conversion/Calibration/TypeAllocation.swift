public import Bytes
import Models
import Quantization
import Tensors

/// Chooses the type of every tensor by what rounding it does to the model's predictions, so that the whole fits a number of
/// bytes.
///
/// 1. Every tensor whose type nobody asked for is rounded to the one that the recipe gives it, by the method of the conversion.
/// 2. The KL divergence that each causes alone is measured on some chunks of the calibration text.
/// 3. What other types would cause follows from their squared error on a sample of rows.
/// 4. `Allocation` takes the set of types of least sum that fits.
/// 5. The model with those types, and with the recipe's where they fit too, is measured on other chunks, both rounded
///    plainly; what diverges less is kept.
public struct TypeAllocation: Sendable {
  private let plan: ConversionPlan
  private let input: ModelInput
  private let rounding: Converter.Rounding
  private let text: CalibrationText
  private let jobs: Int
  private let stateBytes: Int

  /// Chunks on which single tensors are measured.
  private static let probeChunks = 4
  /// Tokens of the text with which the probes are rounded.
  private static let probeTokens = 16_384
  /// Chunks on which what was chosen is checked.
  private static let checkChunks = 8
  /// Tensors that are measured together: what a kill may cost. Each such group follows the whole model once more.
  private static let probesTogether = 16
  /// Rows of a tensor whose error stands for all.
  private static let sampledRows = 64
  private static let menu: [DType] = [
    .q2_K, .q3_K, .iq4_XS, .q4_K, .q5_K, .q6_K, .q8_0, .iq4_NL, .q4_0, .q4_1, .q5_0, .q5_1,
  ]

  public init(
    _ plan: ConversionPlan, of input: ModelInput, rounding: Converter.Rounding, text: CalibrationText, jobs: Int,
    stateBytes: Int
  ) {
    (self.plan, self.input, self.rounding) = (plan, input, rounding)
    (self.text, self.jobs, self.stateBytes) = (text, jobs, stateBytes)
  }

  /// What was chosen.
  public struct Result: Sendable {
    public var plan: ConversionPlan
    /// Sum of the KL divergences of single tensors, as the recipe has them and as chosen.
    public var before: Double
    public var after: Double
    /// Mean KL divergence of the whole model, rounded plainly, with the chosen types and with the recipe's; `nil` where those
    /// do not fit.
    public var measured: (chosen: Double, recipe: Double?)
    /// Whether the recipe's types were better and stay.
    public var keepsRecipe: Bool { measured.recipe.map { $0 <= measured.chosen } ?? false }
  }

  /// A tensor of the model, by name, and the KL divergence that rounding it alone causes.
  public typealias Sensitivity = (tensor: String, divergence: Double)

  /// - Parameters:
  ///   - fileBytes: of the whole output, at most.
  ///   - scratch: takes the rounded tensors.
  ///   - known: what an earlier run with the same plan, rounding and text measured.
  ///   - measured: is given what is measured beyond that, as soon as it is known.
  /// - Throws: `LIMIT` when even the smallest types do not fit; what `measured` throws.
  public func solve(
    fileBytes: Int, scratch: ScratchFile, known: [Sensitivity] = [], progress: ProgressHandler? = nil,
    measured: ([Sensitivity]) throws -> Void = { _ in }
  ) throws -> Result {
    let entries = plan.entries.filter { $0.type != $0.source.dtype && $0.type.isBlock && !$0.isAsked }
    // Whether size and text suffice is known before the model is rounded.
    try refuse(less: fileBytes, than: entries)
    let (probe, check) = (try text.probe(TypeAllocation.probeChunks), try text.check(TypeAllocation.checkChunks))
    let losses = try sensitivities(of: entries, on: probe, scratch, known, progress, measured)
    let choices = try Parallel.map(entries.count, jobs: jobs) { index in
      try self.choices(for: entries[index], loss: losses[index])
    }
    // Padding differs by less than an alignment a tensor; what is over is found when the plan is made.
    var budget = fileBytes - (plan.fileBytes - entries.reduce(0) { $0 + $1.byteCount })
    while true {
      guard let solved = Allocation(choices, budget: budget) else {
        throw TypeAllocation.tooFew(fileBytes, remedy: "give a larger size")
      }
      let types = zip(entries, zip(choices, solved.chosen)).map { ($0.source.name, $1.0[$1.1].type) }
      let retyped = try plan.retyped(Dictionary(uniqueKeysWithValues: types), note: "allocated")
      if retyped.fileBytes <= fileBytes {
        let fits = plan.fileBytes <= fileBytes
        let measured = try divergences(of: fits ? [retyped, plan] : [retyped], on: check, progress)
        var result = Result(
          plan: retyped, before: losses.reduce(0, +), after: solved.loss,
          measured: (measured[0], fits ? measured[1] : nil))
        if result.keepsRecipe { result.plan = plan }
        return result
      }
      budget -= retyped.fileBytes - fileBytes
    }
  }

  /// - Throws: `LIMIT` when the output has more than `fileBytes` with the smallest type for each of `entries`.
  private func refuse(less fileBytes: Int, than entries: [ConversionPlan.Entry]) throws(InputError) {
    var smallest: [String: DType] = [:]
    for entry in entries {
      smallest[entry.source.name] = types(for: entry).min { $0.bitsPerElement < $1.bitsPerElement }
    }
    let needed = try plan.retyped(smallest, note: "").fileBytes
    guard fileBytes < needed else { return }
    throw TypeAllocation.tooFew(fileBytes, remedy: "give \(needed) or more")
  }

  private static func tooFew(_ fileBytes: Int, remedy: String) -> InputError {
    InputError(
      .limit, "\(fileBytes) bytes are fewer than the smallest types take", subject: "--target-size", remedy: remedy)
  }

  /// Those that `entry` may have.
  private func types(for entry: ConversionPlan.Entry) -> [DType] {
    let types = TypeAllocation.menu.filter { entry.source.columns % $0.blockElements == 0 }
    return types.contains(entry.type) ? types : types + [entry.type]
  }

  /// What rounding each of `entries` does alone.
  private func sensitivities(
    of entries: [ConversionPlan.Entry], on text: TextChunks, _ scratch: ScratchFile, _ known: [Sensitivity],
    _ progress: ProgressHandler?, _ measured: ([Sensitivity]) throws -> Void
  ) throws -> [Double] {
    var losses = Dictionary(known.map { (ExactString($0.tensor), $0.divergence) }, uniquingKeysWith: { $1 })
    let unknown = entries.filter { losses[ExactString($0.source.name)] == nil }
    if !unknown.isEmpty {
      let tensors = try probes(of: unknown, scratch, progress)
      _ = try Attribution(
        reference: input.model, chunks: text, jobs: jobs, stateBytes: stateBytes
      ).divergences(of: tensors, together: TypeAllocation.probesTogether, progress: progress) { found in
        let found = found.map { (tensor: tensors[$0.number].name, divergence: $0.divergence) }
        for (tensor, divergence) in found { losses[ExactString(tensor)] = divergence }
        try measured(found)
      }
    }
    return entries.map { losses[ExactString($0.source.name)]! }
  }

  /// The tensors of `entries`, rounded, in `scratch`.
  private func probes(
    of entries: [ConversionPlan.Entry], _ scratch: ScratchFile, _ progress: ProgressHandler?
  ) throws -> [Tensor] {
    var tensors: [Tensor] = []
    var position = 0
    func keep(_ tensor: Tensor) throws {
      let bytes = try tensor.read(rows: 0..<tensor.rows)
      try unsafe scratch.write(bytes.span.bytes, at: position)
      tensors.append(
        try Tensor(
          name: tensor.name, dtype: tensor.dtype, shape: tensor.shape,
          source: ScratchRows(file: scratch, offset: position)))
      position += bytes.count
    }
    var inBlocks: Set<String> = []
    if let feedback = rounding.feedback {
      var options = feedback.options
      options.isSequential = false
      let source =
        switch feedback.source {
        case .text(let text): FeedbackSource.text(text.part(tokens: TypeAllocation.probeTokens))
        case .stored: feedback.source
        }
      let run = FeedbackRun(
        model: input.model, types: Dictionary(uniqueKeysWithValues: entries.map { ($0.source.name, $0.type) }),
        source: source, options: options, jobs: jobs)
      let layers = Set(entries.compactMap(\.source.layer))
      let others = { layer in layers.contains(layer) ? nil : FeedbackRun.Layer(index: layer, tensors: []) }
      try run.run(progress: progress, finished: others) { layer in
        for tensor in layer.tensors {
          inBlocks.insert(tensor.name)
          try keep(tensor)
        }
      }
    }
    for entry in entries where !inBlocks.contains(entry.source.name) {
      try keep(try RoundedRows.tensor(entry.source, as: entry.type, rounding: rounding))
    }
    return tensors
  }

  /// Mean KL divergence of the model with the types of each plan, on chunks that had no part in choosing where the text has
  /// enough.
  private func divergences(
    of plans: [ConversionPlan], on text: TextChunks, _ progress: ProgressHandler?
  ) throws -> [Double] {
    let reference = try ForwardPass(input.model, jobs: jobs)
    let passes = try plans.map { plan in
      let tensors = try plan.entries.filter { plan.quantizedTypes[$0.source.name] != nil }.map { entry in
        try RoundedRows.tensor(entry.source, as: entry.type, rounding: rounding)
      }
      return try ForwardPass(input.model.replacing(tensors), jobs: jobs, sharing: reference)
    }
    return try Evaluation(text, stateBytes: stateBytes) { walked in
      progress?(Progress("checking the types", walked))
    }.drift(of: passes, from: reference).map(\.drift.meanDivergence)
  }

  private func choices(for entry: ConversionPlan.Entry, loss: Double) throws -> [Allocation.Choice] {
    let base = try sampledError(entry.source, entry.type)
    // Where the sample says nothing of what was measured, of all types only the recipe's is known.
    if base == 0, loss > 0 {
      return [Allocation.Choice(type: entry.type, bytes: entry.byteCount, loss: loss)]
    }
    return try types(for: entry).map { type in
      Allocation.Choice(
        type: type, bytes: try type.byteCount(of: entry.source.shape.elementCount),
        loss: base > 0 ? max(0, loss) * (try sampledError(entry.source, type)) / base : 0)
    }
  }

  /// Squared error of plain rounding on rows spread over the tensor.
  private func sampledError(_ tensor: Tensor, _ type: DType) throws -> Double {
    let count = min(tensor.rows, TypeAllocation.sampledRows)
    let rounded = try RoundedRows.tensor(tensor, as: type, rounding: rounding)
    var sum = 0.0
    for index in 0..<count {
      let row = index * tensor.rows / count
      let (a, b) = (try tensor.values(of: row..<row + 1), try rounded.values(of: row..<row + 1))
      for (x, y) in zip(a, b) { sum += (Double(x) - Double(y)) * (Double(x) - Double(y)) }
    }
    return sum
  }
}

private struct ScratchRows: TensorSource {
  let file: ScratchFile
  let offset: Int

  func read(rows: Range<Int>, rowBytes: Int, into bytes: UnsafeMutableRawBufferPointer) throws {
    try unsafe file.read(at: offset + rows.lowerBound * rowBytes, into: bytes)
  }
}

/// A tensor's rows, rounded when they are read.
private struct RoundedRows: TensorSource {
  let tensor: Tensor
  let type: DType
  let rounding: Converter.Rounding

  static func tensor(_ tensor: Tensor, as type: DType, rounding: Converter.Rounding) throws(InputError) -> Tensor {
    try Tensor(
      name: tensor.name, dtype: type, shape: tensor.shape,
      source: RoundedRows(tensor: tensor, type: type, rounding: rounding))
  }

  func read(rows: Range<Int>, rowBytes: Int, into bytes: UnsafeMutableRawBufferPointer) throws {
    // Every expert's matrix has an importance of its own.
    let matrix = max(1, tensor.rows / ImportanceMatrix.matrices(of: tensor))
    let step = max(1, ConversionPlan.weightsInPiece / max(1, tensor.columns))
    var start = rows.lowerBound
    while start < rows.upperBound {
      try Interruption.check()
      let part = start..<min(rows.upperBound, (start / matrix + 1) * matrix, start + step)
      let values = try tensor.values(of: part)
      let stored = try rounding.quantize(values.span, of: tensor, row: start, as: type)
      let first = (start - rows.lowerBound) * rowBytes
      unsafe stored.withUnsafeBytes { source in
        unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[first..<first + source.count]).copyMemory(from: source)
      }
      start = part.upperBound
    }
  }
}

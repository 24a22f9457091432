import Bytes
import Models
public import Quantization
import Tensors

/// Finds factors for the channels of every block under which rounding changes less of what its layers put out, and folds them
/// into the model.
///
/// For each place: factors `mean |x|^α`, normed by `sqrt(max · min)`, for α in sixteenths up to 1. The matrices are scaled
/// and rounded to the types that they will have; the error is that of their outputs on a sample of the text, relative to the
/// outputs and summed over the matrices. What does not lessen it is left out. Places where a matrix is not stored in blocks
/// are left alone: it would have to be rounded anew.
public struct ScalingRun {
  private let input: ModelInput
  private let types: [String: DType]
  private let rounding: Converter.Rounding
  private let text: CalibrationText
  private let jobs: Int

  /// Tokens of the text that are walked, and those whose outputs are compared.
  private static let (walkedTokens, comparedTokens) = (16_384, 1024)
  /// Rows of a matrix that stand for all.
  private static let sampledRows = 256
  /// A power of two: such roots are the same on every machine.
  private static let steps = 16

  public init(
    _ input: ModelInput, _ plan: ConversionPlan, rounding: Converter.Rounding, text: CalibrationText, jobs: Int
  ) {
    (self.input, types, self.rounding) = (input, plan.quantizedTypes, rounding)
    (self.text, self.jobs) = (text, jobs)
  }

  /// What was found.
  public struct Result: Sendable {
    /// The same model, folded.
    public var input: ModelInput
    public var importance: ImportanceMatrix?
    /// Places that are scaled, of how many.
    public var scaled: Int
    public var places: Int
    /// The error of the outputs over all places, as a share of what it is without.
    public var error: Double
  }

  /// - Throws: `UNSUPPORTED` for a mixture of experts; `NONFINITE` when the model computes no number; what reading throws.
  public func run(progress: ProgressHandler? = nil) throws -> Result {
    let parameters = input.model.parameters
    guard parameters.expertCount == 0 else {
      throw InputError(
        .unsupported, "scaled channels in a mixture of experts", subject: "--awq", remedy: "convert it without")
    }
    let pass = try ForwardPass(input.model, jobs: jobs)
    let count = min(text.chunks.count, max(1, ScalingRun.walkedTokens / text.context))
    let states = try pass.embed((0..<count).map { text.chunks[$0 * text.chunks.count / count] })
    var scales = ChannelScales()
    var (before, after) = (0.0, 0.0)
    progress?(Progress("scaling channels", unit: .steps, done: 0, total: pass.layerCount))
    for layer in 0..<pass.layerCount {
      let samples = try samples(layer, pass, states)
      for place in ChannelScales.Place.allCases {
        guard let found = try search(place, layer, samples[place.input.rawValue]) else { continue }
        before += found.before
        after += found.after
        if let factors = found.factors { scales.set(place, layer: layer, factors, parameters) }
      }
      progress?(Progress("scaling channels", unit: .steps, done: layer + 1, total: pass.layerCount))
    }
    var folded = input
    folded.model = try scales.fold(into: input.model)
    return Result(
      input: folded, importance: try rounding.importance.map { try scales.fold(into: $0) }, scaled: scales.count,
      places: pass.layerCount * ChannelScales.Place.allCases.count, error: before > 0 ? after / before : 1)
  }

  /// What some layers multiply.
  private struct Sample {
    /// Of each column, over all tokens that were walked.
    var meanMagnitudes: [Double]
    /// (tokens, columns) of some of them.
    var rows: Matrix
  }

  /// Passes `states` through the block.
  private func samples(_ layer: Int, _ pass: ForwardPass, _ states: HiddenStates) throws -> [Sample] {
    let parameters = pass.parameters
    let total = states.chunks.reduce(0) { $0 + $1.count }
    let compared = min(total, ScalingRun.comparedTokens)
    var samples = try LinearInput.allCases.map { input in
      let size = parameters.size(of: input)
      return Sample(
        meanMagnitudes: Array(repeating: 0, count: size), rows: try Matrix(rows: compared, columns: size))
    }
    let batch = max(1, 4096 / text.context)
    var inputs = try LayerInputs(parameters, tokens: min(states.chunks.count, batch) * text.context, seesExperts: false)
    try pass.load(layer: layer)
    var (seen, taken) = (0, 0)
    for start in stride(from: 0, to: states.chunks.count, by: batch) {
      let part = start..<min(states.chunks.count, start + batch)
      try inputs.collect(layer: layer, of: pass, states.selecting(part))
      let first = taken
      while taken < compared, taken * total / compared < seen + inputs.tokens { taken += 1 }
      for input in LinearInput.allCases {
        guard let x = inputs[LayerInputs.Key(input: input)] else { continue }
        for sample in first..<taken {
          unsafe samples[input.rawValue].rows[sample..<sample + 1].pointer
            .update(from: x.pointer(row: sample * total / compared - seen), count: x.columns)
        }
        for row in 0..<x.rows {
          let values = unsafe x.pointer(row: row)
          for column in 0..<x.columns {
            unsafe samples[input.rawValue].meanMagnitudes[column] += Double(abs(values[column])) / Double(total)
          }
        }
      }
      seen += inputs.tokens
    }
    for (input, sample) in zip(LinearInput.allCases, samples) where !sample.meanMagnitudes.allSatisfy(\.isFinite) {
      throw InputError(
        .nonFinite, "the model computes no number for the calibration text",
        subject: input.weights(layer: layer, hasExperts: false)[0],
        remedy: "a weight is NaN, infinite or far too large; inspect the model and its source")
    }
    return samples
  }

  /// The factors of least error; none when it is least without.
  /// - Returns: `nil` where nothing may be scaled.
  private func search(
    _ place: ChannelScales.Place, _ layer: Int, _ sample: Sample
  ) throws -> (factors: [Float]?, before: Double, after: Double)? {
    let parameters = input.model.parameters
    let names = place.consumers(layer: layer)
    let producer = place.producer(layer: layer).weight
    guard names.allSatisfy({ types[$0] != nil }), types[producer] != nil || input.model[producer]?.shape.rank == 1
    else {
      return nil
    }
    var magnitudes = [Double](repeating: 0, count: place.channels(parameters))
    for (column, magnitude) in sample.meanMagnitudes.enumerated() {
      magnitudes[place.channel(ofColumn: column, parameters)] += magnitude
    }
    guard let least = magnitudes.lazy.filter({ $0 > 0 }).min() else { return nil }
    let x = try PackedMatrix(rows: sample.rows.rows, columns: sample.rows.columns)
    x.pack(sample.rows.view)
    let probes = try names.map { try Probe($0, of: self, x) }
    let candidates = (0...ScalingRun.steps).map { step in
      ScalingRun.factors(magnitudes.map { max($0, least) }, step: step)
    }
    let errors = try Parallel.map(candidates.count, jobs: jobs) { index in
      let factors = candidates[index]
      let columns = sample.meanMagnitudes.indices.map { factors[place.channel(ofColumn: $0, parameters)] }
      return try probes.reduce(0) { try $0 + $1.error(scaledBy: columns) }
    }
    let best = errors.indices.min { errors[$0] < errors[$1] } ?? 0
    return (best == 0 ? nil : candidates[best], errors[0], errors[best])
  }

  /// `x^(step / steps)` over the geometric middle of its extremes; step 0 changes nothing.
  private static func factors(_ magnitudes: [Double], step: Int) -> [Float] {
    let powers = magnitudes.map { magnitude in
      var (power, root, part) = (step == steps ? magnitude : 1, magnitude, steps / 2)
      while part > 0 {
        root = root.squareRoot()
        if step & part != 0 { power *= root }
        part /= 2
      }
      return power
    }
    let middle = ((powers.max() ?? 1) * (powers.min() ?? 1)).squareRoot()
    return powers.map { Float(min(1e4, max(1e-4, $0 / middle))) }
  }

  /// Some rows of one matrix, and what they put out.
  private struct Probe: Sendable {
    let weights: [Float]
    let columns: Int
    let type: DType
    let importance: [Float]?
    let rounding: Converter.Rounding
    let x: PackedMatrix
    let output: Double

    init(_ name: String, of run: ScalingRun, _ x: PackedMatrix) throws {
      guard let tensor = run.input.model[name], let type = run.types[name] else {
        throw InputError(.missing, "the tensor is missing", subject: name)
      }
      let count = min(tensor.rows, ScalingRun.sampledRows)
      var weights: [Float] = []
      for index in 0..<count {
        let row = index * tensor.rows / count
        weights += try tensor.values(of: row..<row + 1)
      }
      (self.weights, columns, self.type, self.x) = (weights, tensor.columns, type, x)
      importance = run.rounding.importance?.columns(of: tensor, row: 0).map(Array.init)
      rounding = run.rounding
      output = try ScalingRun.energy(weights, x)
    }

    /// Of the outputs when the columns are scaled, rounded and scaled back, as a share of the outputs.
    func error(scaledBy factors: [Float]) throws -> Double {
      guard output > 0 else { return 0 }
      var scaled = weights
      for index in scaled.indices { scaled[index] *= factors[index % columns] }
      let weighed = importance.map { zip($0, factors).map { $0 / ($1 * $1) }[...] }
      let bytes = try rounding.quantize(scaled.span, columns: columns, as: type, importance: weighed)
      var rounded = [Float](repeating: 0, count: weights.count)
      var span = rounded.mutableSpan
      unsafe BlockDecoder.decode(bytes.span.bytes, as: type, into: &span)
      for index in rounded.indices { rounded[index] = rounded[index] / factors[index % columns] - weights[index] }
      return try ScalingRun.energy(rounded, x) / output
    }
  }

  /// `‖x wᵀ‖²` of w (rows, columns) and x (tokens, columns).
  private static func energy(_ w: [Float], _ x: PackedMatrix) throws -> Double {
    let w = try Matrix(rows: w.count / x.columns, columns: x.columns, w)
    let y = try Matrix(rows: w.rows, columns: x.rows)
    y.view.assign(w.view, timesTransposed: x.view, try ProductScratch())
    var sum = 0.0
    for row in 0..<y.rows {
      let values = unsafe y[row..<row + 1].pointer
      for column in 0..<y.columns { unsafe sum += Double(values[column]) * Double(values[column]) }
    }
    return sum
  }
}

import Bytes
import Models
import Quantization
import Tensors

/// Rounds the linear weights of a model block by block with error feedback, each block seeing the text as the rounded
/// blocks before it pass it on.
struct FeedbackRun {
  let model: ModelSource
  let types: [String: DType]
  let chunks: [[Int32]]
  let jobs: Int
  var damping = 0.01
  var isOrdered = true
  var isSequential = true

  /// Chunks whose inputs are in memory at a time.
  private static let tokensPerBatch = 4096

  /// - Parameter deliver: takes the stored rows of a tensor.
  func run(progress: ProgressHandler?, deliver: (_ name: String, _ bytes: [UInt8]) throws -> Void) throws {
    let parameters = model.parameters
    let pass = try ForwardPass(model, jobs: jobs)
    let asymmetry = Double(environment("ASYM") ?? "0")!
    let states = try pass.embed(chunks)
    let reference: HiddenStates? = asymmetry > 0 ? try states.copy() : nil
    var rounded: [String: Tensor] = [:]
    let batch = max(1, FeedbackRun.tokensPerBatch / max(1, chunks[0].count))
    var inputs = try LayerInputs(parameters, tokens: batch * chunks[0].count)
    var undrifted = try LayerInputs(parameters, tokens: batch * chunks[0].count)
    for layer in 0..<pass.layerCount {
      var hessians = try LinearInput.allCases.map { try Hessian(size: parameters.size(of: $0)) }
      for start in stride(from: 0, to: chunks.count, by: batch) {
        let part = states[start..<min(chunks.count, start + batch)]
        try inputs.collect(layer: layer, of: pass, isSequential ? try part.copy() : part)
        if let reference {
          try undrifted.collect(layer: layer, of: pass, reference[start..<min(chunks.count, start + batch)])
          for input in LinearInput.allCases {
            try hessians[input.rawValue].add(drift: undrifted[input], from: inputs[input], jobs: jobs)
          }
        }
        for input in LinearInput.allCases { try hessians[input.rawValue].add(inputs[input], jobs: jobs) }
      }
      for input in LinearInput.allCases {
        let names = input.weights(layer: layer, hasExperts: false)
        for name in names {
          guard let tensor = model[name], let type = types[name] else { continue }
          let bytes = try round(tensor, as: type, hessians[input.rawValue])
          try deliver(name, bytes)
          rounded[name] = try Tensor(name: name, dtype: type, shape: tensor.shape, source: MemoryRows(bytes))
        }
      }
      if isSequential {
        let source = try ModelSource(parameters: parameters, tensors: model.tensors.map { rounded[$0.name] ?? $0 })
        try ForwardPass(source, jobs: jobs, sharing: pass).apply(layer: layer, to: states)
        rounded = [:]
      }
      progress?(Progress("rounding with feedback", unit: .steps, done: layer + 1, total: pass.layerCount))
    }
  }

  private func round(_ tensor: Tensor, as type: DType, _ hessian: Hessian) throws -> [UInt8] {
    let groupSize = environment("GROUPED") != nil ? ErrorFeedback.groupSize(type) : type.blockElements
    guard
      let factor = try FeedbackFactor(
        hessian, damping: damping, blockSize: type.blockElements, groupSize: groupSize, isOrdered: isOrdered,
        asymmetry: Double(environment("ASYM") ?? "0")!)
    else { throw InputError(.nonFinite, "no Hessian", subject: tensor.name) }
    var feedback = ErrorFeedback(factor, type: type)
    feedback.rounds = Int(environment("ROUNDS") ?? "0")!
    feedback.refresh = environment("REFRESH") != nil
    let solver = feedback
    let step = 64
    let pieces = try Parallel.map((tensor.rows + step - 1) / step, jobs: jobs) { piece in
      let rows = piece * step..<min(tensor.rows, (piece + 1) * step)
      let w = try Matrix(rows: rows.count, columns: tensor.columns, try tensor.values(of: rows))
      return try solver.quantize(w.view).bytes
    }
    return Array(pieces.joined())
  }
}

extension ConversionPlan {
  public func rounded(_ input: ModelInput, texts: [String], jobs: Int, progress: ProgressHandler?) throws -> ConversionPlan {
    let context = Int(environment("CTX") ?? "512")!
    let tokens = Int(environment("TOKENS") ?? "65536")!
    var chunks: [[Int32]] = []
    for path in texts {
      let text = try WalkOptions(context: context, chunks: tokens / texts.count / context, jobs: jobs)
        .chunks(of: TextFile(reading: path), for: input)
      chunks += (0..<text.count).map(text.input)
    }
    var types: [String: DType] = [:]
    for entry in entries where entry.type != entry.source.dtype { types[entry.source.name] = entry.type }
    var run = FeedbackRun(model: input.model, types: types, chunks: chunks, jobs: jobs)
    run.isSequential = environment("SEQ") != "0"
    run.isOrdered = environment("ORDER") != "0"
    run.damping = Double(environment("DAMP") ?? "0.01")!
    var made: [String: [UInt8]] = [:]
    if environment("THOROUGH") != nil {
      for entry in entries where ["token_embd.weight", "output.weight"].contains(entry.source.name) && entry.type != entry.source.dtype {
        let x = try entry.source.values(of: 0..<entry.source.rows)
        var out = [UInt8](repeating: 0, count: entry.byteCount)
        var span = out.mutableSpan
        var raw = unsafe span.mutableBytes
        ThoroughSearch.quantize(x.span, columns: entry.source.columns, as: entry.type, importance: nil, into: &raw)
        made[entry.source.name] = out
      }
    }
    try run.run(progress: progress) { made[$0] = $1 }
    var plan = self
    for index in plan.entries.indices {
      let entry = plan.entries[index]
      guard let bytes = made[entry.source.name] else { continue }
      plan.entries[index].source = try Tensor(name: entry.source.name, dtype: entry.type, shape: entry.source.shape, source: MemoryRows(bytes))
    }
    return plan
  }
}

import Glibc
func environment(_ name: String) -> String? {
    guard let value = unsafe getenv(name) else { return nil }
    return unsafe String(cString: value)
}

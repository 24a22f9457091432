import Bytes
import Models

/// Sums the Hessians of a model, as it is, over one text.
struct HessianRun {
  let model: ModelInput
  let text: CalibrationText
  let jobs: Int
  /// Bytes of which the hidden states may take a quarter.
  let memory: Int

  /// Writes a file a block to `path`. When all are there already, of the same model and text, nothing is done.
  /// - Throws: `LIMIT` for more text than there is memory for; `NONFINITE`; `CHANGED`; what reading and writing throw.
  func run(into path: String, progress: ProgressHandler?) throws {
    let identity = try HessianIdentity(model.model, chunks: text.chunks, paths: text.paths)
    if let found = try? HessianFolder(reading: path), found.identity == identity,
      (try? found.check(against: model)) != nil
    {
      return
    }
    let parameters = model.model.parameters
    let states = ForwardPass.stateBytes(parameters, tokens: text.context) * text.chunks.count
    guard states <= memory / 4 else {
      throw InputError(
        .limit,
        "the hidden states of \(text.chunks.count) chunks take \(states) bytes, a quarter of --memory is \(memory / 4)",
        subject: text.paths.joined(separator: ", "), remedy: "plan with more --slices, or give more --memory")
    }
    let folder = try HessianFolder(writing: path, identity, overwrites: true)
    let pass = try ForwardPass(model.model, jobs: jobs)
    let hidden = try pass.embed(text.chunks)
    for layer in 0..<pass.layerCount {
      try Interruption.check()
      let hessians = try LayerHessians(layer: layer, of: pass, hidden, context: text.context)
      try folder.write(hessians, layer: layer, parameters)
      progress?(Progress("calibrating", unit: .steps, done: layer + 1, total: pass.layerCount))
    }
    try model.checkUnchanged()
  }
}

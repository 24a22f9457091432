import Bytes
import Checkpoints
import GGUF
import Models
import Tensors

/// `logits MODEL IDS OUTPUT [JOBS [ROPE_FACTOR]]`: IDS holds one chunk of tokens as little-endian int32; OUTPUT gets the
/// logits of every position, `vocabulary` F32 each. ROPE_FACTOR is for models in Meta's form.
func logits(_ arguments: [String]) throws {
  guard arguments.count >= 3 else { throw InputError(.missing, "logits needs a model, ids and an output") }
  let factor = arguments.count > 4 ? Double(arguments[4]) : nil
  let pass = try ForwardPass(
    openModel(arguments[0], ropeFactor: factor), jobs: arguments.count > 3 ? Int(arguments[3]) ?? 1 : 1)
  let ids = try readIDs(arguments[1])
  let states = try pass.embed([ids])
  for layer in 0..<pass.layerCount { try pass.apply(layer: layer, to: states) }
  let tile = try Matrix(rows: ForwardPass.rowsPerTile, columns: pass.parameters.vocabularySize)
  let file = try OutputFile(arguments[2], overwrites: true)
  for start in stride(from: 0, to: ids.count, by: tile.rows) {
    let rows = start..<min(ids.count, start + tile.rows)
    try pass.logits(of: rows, in: states, into: tile)
    let bytes = unsafe UnsafeRawBufferPointer(start: tile.view.pointer, count: rows.count * tile.columns * 4)
    try unsafe file.write(bytes, at: start * tile.columns * 4)
  }
  try file.publish()
}

/// `evaluate MODEL IDS CONTEXT BOS CHUNKS JOBS [REFERENCE]`: perplexity of the text whose tokens are in IDS, or the drift
/// from REFERENCE; BOS -1 is none, CHUNKS 0 all.
func evaluate(_ arguments: [String]) throws {
  guard arguments.count >= 6, let context = Int(arguments[2]), let bos = Int32(arguments[3]),
    let chunks = Int(arguments[4]), let jobs = Int(arguments[5])
  else { throw InputError(.missing, "evaluate needs a model, ids, a context, BOS, chunks and jobs") }
  let text = try TextChunks(
    readIDs(arguments[1]), context: context, bos: bos < 0 ? nil : bos, limit: chunks == 0 ? nil : chunks)
  let pass = try ForwardPass(openModel(arguments[0]), jobs: jobs)
  let clock = ContinuousClock()
  let start = clock.now
  if arguments.count > 6 {
    let reference = try ForwardPass(openModel(arguments[6]), jobs: jobs, sharing: pass)
    let walked = try Evaluation(text).drift(of: [pass], from: reference)[0]
    let (drift, layers) = (walked.drift, walked.layers.map(\.state))
    print("perplexity \(drift.reference.perplexity) \(drift.quantized.perplexity)")
    print("ln ratio \(drift.logRatio) ± \(drift.logRatioStandardError)")
    print("divergence \(drift.meanDivergence) ± \(drift.meanDivergenceStandardError)")
    print("percentiles \(drift.divergencePercentiles([0, 0.5, 0.9, 0.99, 0.999, 1]))")
    print("same choice \(drift.topOneAgreement) ± \(drift.topOneStandardError)")
    print("change of p \(drift.meanProbabilityChange) rms \(drift.rmsProbabilityChange)")
    for (layer, difference) in layers.enumerated() {
      print("layer \(layer) \(difference.relativeRMSError) \(difference.cosine)")
    }
  } else {
    let result = try Evaluation(text).perplexity(of: pass)
    print("perplexity \(result.perplexity) ± \(result.standardError), \(result.count) tokens")
  }
  let seconds = (clock.now - start) / .seconds(1)
  print("\(Double(text.count * context) / seconds) tokens/s")
}

private func openModel(_ path: String, ropeFactor: Double? = nil) throws -> ModelSource {
  if path.hasSuffix(".gguf") {
    let file = try GGUFFile(reading: path)
    return try ModelSource(metadata: file.metadata, tensors: file.tensors, file: path)
  }
  let checkpoint = try Checkpoint(opening: path)
  if let params = checkpoint.parameters {
    let meta = try MetaParameters(params: params.root, tensors: checkpoint.tensors, ropeFactor: ropeFactor)
    return try ModelSource(meta: meta, tensors: checkpoint.tensors)
  }
  guard let config = checkpoint.config else { throw InputError(.missing, "no config.json", file: path) }
  return try ModelSource(config: config.root, tensors: checkpoint.tensors)
}

private func readIDs(_ path: String) throws -> [Int32] {
  let bytes = try RandomAccessFile(path).readAll(limit: 1 << 30)
  var cursor = ByteCursor(bytes, file: path)
  return try (0..<bytes.count / 4).map { _ in Int32(bitPattern: try cursor.uint32("id")) }
}

public import Bytes
import Models
public import Quantization
import Tensors

/// Measures what every linear layer of a model multiplies while texts pass through it, as llama-imatrix does (llama.cpp
/// 0c1e57098, tools/imatrix): all whole chunks of each text from its start, the first token of each replaced by BOS if the
/// model wants one.
public struct ImportanceRun {
  private let model: ModelInput
  private let texts: [TextFile]
  private let options: WalkOptions
  private let measuresOutput: Bool
  private let hessians: Folder?

  /// Where Hessians are written, and whether others there may be replaced.
  public typealias Folder = (path: String, overwrites: Bool)

  /// How often a run that may be killed is saved, at the end of a layer.
  public static let saveInterval = Duration.seconds(60)

  /// - Parameters:
  ///   - options: `chunks` limits each text.
  ///   - measuresOutput: the input of the output matrix too, under the embedding's name where they are one.
  ///   - hessians: the Hessians of the same inputs are written there, block by block.
  public init(
    model: ModelInput, texts: [TextFile], options: WalkOptions, measuresOutput: Bool, hessians: Folder? = nil
  ) {
    (self.model, self.texts, self.options, self.measuresOutput) = (model, texts, options, measuresOutput)
    self.hessians = hessians
  }

  /// All that decides the matrix, and how the run divides its memory.
  public func identity() throws -> RunIdentity {
    [
      ("version", Version.current), ("model", model.stamp),
      ("text", RunState.hash(of: try chunks())), ("text files", texts.map(\.path).joined(separator: " ")),
      ("ctx", "\(options.context)"), ("chunks", options.chunks.map(String.init) ?? "all"),
      ("output-tensor", "\(measuresOutput)"), ("memory", "\(options.memory)"),
      ("hessian", hessians?.path ?? "none"),
    ]
  }

  /// Of all texts, one after the other.
  private func chunks() throws -> [[Int32]] {
    try texts.flatMap { text in
      let chunks = try options.chunks(of: text, for: model)
      return (0..<chunks.count).map(chunks.input)
    }
  }

  /// - Parameters:
  ///   - state: is read at the start and saved to at most every `saveInterval`; it is left to the caller.
  /// - Throws: `NONFINITE` naming the tensor and the chunk when a sum is no finite number; `LIMIT` for a text of less than two
  ///   chunks, or of more than memory holds where Hessians are written; `CHANGED` when the model was written to meanwhile;
  ///   what reading throws.
  public func run(
    state: RunState? = nil, saveInterval: Duration = ImportanceRun.saveInterval, progress: ProgressHandler? = nil
  ) throws -> ImportanceMatrix {
    let chunks = try chunks()
    let pass = try ForwardPass(model.model, jobs: options.jobs)
    let blocks = (0..<pass.layerCount).map { BlockSums(pass.parameters, layer: $0) }
    let output = ColumnSums(columns: pass.parameters.hiddenSize)
    let size = max(1, options.stateBytes / max(1, ForwardPass.stateBytes(pass.parameters, tokens: options.context)))
    let folder = try hessians.map { folder in
      if chunks.count > size { throw tooLong(chunks.count, room: size) }
      return try HessianFolder(
        writing: folder.path, HessianIdentity(model.model, chunks: chunks, paths: texts.map(\.path)),
        overwrites: folder.overwrites)
    }
    let checkpoints = state.map { ImportanceCheckpoints($0, interval: saveInterval) }
    let resumed = try checkpoints?.restore(blocks, output)
    var done = 0
    // What an earlier run did is done before the first report.
    func report(_ found: Int) {
      let total = chunks.count * pass.layerCount
      progress?(
        Progress(
          "calibrating", unit: .steps, done: done, total: total,
          work: .init(done: Double(done - found), total: Double(total - found))))
    }
    var found: Int?
    for start in stride(from: 0, to: chunks.count, by: size) {
      let end = min(chunks.count, start + size)
      if let resumed, start < resumed.start {
        done += (end - start) * pass.layerCount
        continue
      }
      let states = try pass.embed(Array(chunks[start..<end]))
      let first = resumed.map { $0.start == start ? $0.layer : 0 } ?? 0
      if first > 0 {
        try checkpoints?.restore(states)
        try folder?.check(against: model, before: first)
      }
      done += first * (end - start)
      if found == nil {
        found = done
        report(done)
      }
      for (layer, sums) in blocks.enumerated().dropFirst(first) {
        if let folder {
          let hessians = try LayerHessians(layer: layer, of: pass, states, context: options.context, importance: sums)
          try folder.write(hessians, layer: layer, pass.parameters)
        } else {
          try pass.apply(layer: layer, to: states, observe: sums.observer(from: start))
          sums.finishGroup(at: end)
        }
        done += end - start
        report(found ?? 0)
        try checkpoints?.layerEnded(.init(start: start, layer: layer + 1), blocks, output, states)
      }
      guard measuresOutput else { continue }
      try pass.normalizeOutput(states)
      for (chunk, rows) in states.chunks.enumerated() { output.add(states.matrix[rows], chunk: start + chunk) }
    }
    var matrix = ImportanceMatrix(file: "", datasets: texts.map(\.path), chunkCount: chunks.count)
    for sums in blocks { try sums.add(to: &matrix) }
    if measuresOutput {
      let (squares, count) = try output.result(for: pass.outputName)
      try matrix.add(pass.outputName, ImportanceMatrix.Sums(squares: squares, counts: [count]))
    }
    try model.checkUnchanged()
    return matrix
  }

  /// A block's Hessians are finished when all chunks have passed it, so their states must be in memory together.
  private func tooLong(_ chunks: Int, room: Int) -> InputError {
    let bytes = chunks * ForwardPass.stateBytes(model.model.parameters, tokens: options.context)
    return InputError(
      .limit,
      "\(chunks) chunks of \(options.context) are too many for Hessians: there is memory for the hidden states of \(room)",
      subject: "--hessian",
      remedy: "use --memory \((4 * bytes) >> 20 + 1)M, or calibrate parts of the text and add them with --merge-hessian"
    )
  }
}

/// What an importance matrix knows little about.
public struct ImportanceCoverage: Sendable {
  /// Experts that no token chose. All their columns have importance 1.
  public private(set) var unseenExperts: [(tensor: String, experts: [Int])] = []
  /// Columns whose inputs were all zero, in experts that were seen.
  public private(set) var deadChannels: [(tensor: String, count: Int)] = []
  /// Matrices with a column so many times as important as their median; above `explosion`.
  public private(set) var exploding: [(tensor: String, expert: Int, column: Int, ratio: Double)] = []

  public static let explosion = 1e6

  public init(_ matrix: ImportanceMatrix) {
    for (name, sums) in matrix.sums.sorted(by: { $0.key < $1.key }) {
      var (unseen, dead) = ([Int](), 0)
      for (number, count) in sums.counts.enumerated() {
        guard count > 0 else {
          unseen.append(number)
          continue
        }
        let columns = sums.squares[number * sums.columns..<(number + 1) * sums.columns]
        let live = columns.filter { $0 > 0 }.sorted()
        dead += columns.count - live.count
        guard let most = live.last else { continue }
        let ratio = Double(most) / Double(live[live.count / 2])
        if ratio > ImportanceCoverage.explosion {
          let column = columns.firstIndex(of: most)! - columns.startIndex
          exploding.append((name.string, number, column, ratio))
        }
      }
      if !unseen.isEmpty { unseenExperts.append((name.string, unseen)) }
      if dead > 0 { deadChannels.append((name.string, dead)) }
    }
  }

  public var json: JSONText {
    .object([
      (
        "unseen_experts",
        .array(
          unseenExperts.map {
            .object([("tensor", .string($0.tensor)), ("experts", .array($0.experts.map(JSONText.int)))])
          })
      ),
      (
        "dead_channels",
        .array(deadChannels.map { .object([("tensor", .string($0.tensor)), ("columns", .int($0.count))]) })
      ),
      (
        "exploding_channels",
        .array(
          exploding.map {
            .object([
              ("tensor", .string($0.tensor)), ("expert", .int($0.expert)), ("column", .int($0.column)),
              ("max_over_median", .double($0.ratio)),
            ])
          })
      ),
    ])
  }

  /// A line for each tensor that something is to be said of.
  public var lines: [String] {
    unseenExperts.map {
      "\(printable($0.tensor)): no token chose expert \($0.experts.map(String.init).joined(separator: ", ")); "
        + "importance 1 for all columns there"
    } + deadChannels.map { "\(printable($0.tensor)): \($0.count) columns whose inputs are all zero" }
      + exploding.map {
        "\(printable($0.tensor)): column \($0.column) of matrix \($0.expert) is \(decimals($0.ratio, 0)) times as important "
          + "as the median"
      }
  }
}

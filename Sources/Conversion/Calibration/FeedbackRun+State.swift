import Bytes
import Tensors

extension RunState {
  /// Adds a block that was rounded: its tensors, and last what says that they are all there and which of them were rounded
  /// plainly.
  func append(_ layer: FeedbackRun.Layer) throws {
    for tensor in layer.tensors { try append(tensor.name, tensor.read(rows: 0..<tensor.rows)) }
    let lines =
      layer.tensors.map { "\($0.name)\n" }
      + layer.fallbacks.map { "\($0.tensor)\t\($0.expert.map(String.init) ?? "")\t\($0.reason)\n" }
    try append(RunState.mark(layer.index), Array(lines.joined().utf8))
  }

  func holds(layer: Int) -> Bool { first(RunState.mark(layer)) != nil }

  /// Block `layer` of `plan` as an earlier run rounded it; `nil` when it did not.
  func layer(_ layer: Int, of plan: ConversionPlan) throws -> FeedbackRun.Layer? {
    guard let mark = first(RunState.mark(layer)) else { return nil }
    var (names, fallbacks): (Set<ExactString>, [FeedbackFallback]) = ([], [])
    for line in String(decoding: try read(mark), as: UTF8.self).split(separator: "\n") {
      let words = line.split(separator: "\t", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
      if words.count == 3 {
        fallbacks.append(FeedbackFallback(tensor: words[0], expert: Int(words[1]), reason: words[2]))
      } else {
        names.insert(ExactString(words[0]))
      }
    }
    var tensors: [Tensor] = []
    for entry in plan.entries where names.contains(ExactString(entry.source.name)) {
      guard let record = first(entry.source.name), case let bytes = try read(record), bytes.count == entry.byteCount
      else {
        throw InputError(
          .checksum, "a tensor is missing or of another size", file: path, subject: entry.source.name,
          remedy: "start again with --no-resume")
      }
      tensors.append(
        try Tensor(name: entry.source.name, dtype: entry.type, shape: entry.source.shape, source: MemoryRows(bytes)))
    }
    return FeedbackRun.Layer(index: layer, tensors: tensors, fallbacks: fallbacks)
  }

  private static func mark(_ layer: Int) -> String { "block \(layer)" }
}

extension RunState {
  /// What rounding single tensors does, as `TypeAllocation` measured it.
  public func append(_ sensitivities: [TypeAllocation.Sensitivity]) throws {
    // The bits, so that what is chosen by them is the same.
    let lines = sensitivities.map { "\($0.tensor) \($0.divergence.bitPattern)\n" }
    try append(RunState.sensitivities, Array(lines.joined().utf8))
  }

  public func sensitivities() throws -> [TypeAllocation.Sensitivity] {
    try records.filter { $0.name == RunState.sensitivities }.flatMap { record in
      try String(decoding: read(record), as: UTF8.self).split(separator: "\n").map { line in
        let words = line.split(separator: " ")
        guard words.count == 2, let bits = UInt64(words[1]), case let value = Double(bitPattern: bits), value.isFinite
        else {
          throw InputError(
            .checksum, "what it holds of a tensor's sensitivity cannot be read", file: path,
            remedy: "start again with --no-resume")
        }
        return (String(words[0]), value)
      }
    }
  }

  private static let sensitivities = "sensitivities"
}

extension ConversionPlan {
  /// Keeps the types that were chosen.
  public func saveTypes(in state: RunState) throws {
    try state.append("types", Array(entries.map { "\($0.source.name) \($0.type.name)\n" }.joined().utf8))
  }

  /// The same plan with the types that an earlier run chose; `nil` when it did not.
  public func withTypes(of state: RunState) throws -> ConversionPlan? {
    guard let record = state.first("types") else { return nil }
    var types: [String: DType] = [:]
    for line in String(decoding: try state.read(record), as: UTF8.self).split(separator: "\n") {
      let words = line.split(separator: " ").map(String.init)
      guard words.count == 2, let type = DType(name: words[1]) else {
        throw InputError(
          .checksum, "the types that it holds cannot be read", file: state.path,
          remedy: "start again with --no-resume")
      }
      types[words[0]] = type
    }
    return try retyped(types, note: "allocated")
  }
}

import Bytes
import Tensors

/// The weights in what a pickle holds: a dict of names and tensors, at the top or under one of the usual keys.
struct StateDict {
  /// In the order of the file.
  private(set) var tensors: [(name: ExactString, view: TorchView)] = []
  /// Keys of what is no tensor.
  private(set) var others: [String] = []

  /// Where training programs keep the weights beside other things: Lightning, fairseq, DeepSpeed, nanoGPT, Hugging Face.
  private static let wrappers: [ExactString] = ["state_dict", "model_state_dict", "model", "module"]
  /// What wrappers for parallel training and compiling put before every name.
  private static let prefixes = ["module.", "_orig_mod."]
  private static let maximumWraps = 4

  init(_ root: PickleValue, _ arena: PickleArena) throws(InputError) {
    var value = root
    for _ in 0..<StateDict.maximumWraps {
      guard case .dict(let index) = value else {
        throw InputError(
          .unsupported, "holds \(value.kindName), a dict of names and tensors expected",
          remedy: "save model.state_dict()")
      }
      try read(arena.dicts[index].items, arena)
      if !tensors.isEmpty { break }
      guard let inner = try wrapped(arena.dicts[index].items, arena) else { break }
      value = inner
      others = []
    }
    guard !tensors.isEmpty else {
      let found = others.prefix(8).map { printable($0, limit: 40) }.joined(separator: ", ")
      throw InputError(
        .missing, "holds no tensors\(found.isEmpty ? "" : ", but \(found)")",
        remedy: "give the file that holds the model's weights")
    }
    stripPrefixes()
  }

  private mutating func read(_ items: [PickleValue], _ arena: PickleArena) throws(InputError) {
    var seen: Set<ExactString> = []
    for place in stride(from: 0, to: items.count, by: 2) {
      guard case .string(let key) = items[place] else {
        if case .tensor = items[place + 1] {
          throw InputError(.type, "a tensor's name is \(items[place].kindName), a string expected")
        }
        continue
      }
      let name = ExactString(arena.string(key))
      guard seen.insert(name).inserted else {
        throw InputError(.duplicate, "the name stands twice in one dict", subject: name.string)
      }
      guard case .tensor(let index) = items[place + 1] else {
        others.append(name.string)
        continue
      }
      guard !name.utf8.isEmpty, !name.utf8.contains(0), name.utf8.count <= SafetensorsFile.maximumNameBytes else {
        throw InputError(.name, "a name of 1 to \(SafetensorsFile.maximumNameBytes) bytes without NUL expected")
      }
      tensors.append((name, arena.tensors[index]))
    }
  }

  /// The dict under one of the usual keys.
  private func wrapped(_ items: [PickleValue], _ arena: PickleArena) throws(InputError) -> PickleValue? {
    var found: [(key: ExactString, value: PickleValue)] = []
    for place in stride(from: 0, to: items.count, by: 2) {
      guard case .string(let key) = items[place], case .dict = items[place + 1] else { continue }
      let name = ExactString(arena.string(key))
      if StateDict.wrappers.contains(name) { found.append((name, items[place + 1])) }
    }
    guard found.count <= 1 else {
      throw InputError(
        .duplicate, "holds weights under both '\(found[0].key)' and '\(found[1].key)'", remedy: "save one of them alone"
      )
    }
    return found.first?.value
  }

  /// A prefix goes only when every name has it.
  private mutating func stripPrefixes() {
    while let prefix = StateDict.prefixes.first(where: { prefix in
      tensors.allSatisfy { $0.name.utf8.count > prefix.utf8.count && $0.name.utf8.starts(with: prefix.utf8) }
    }) {
      tensors = tensors.map { tensor in
        (ExactString(String(tensor.name.string.unicodeScalars.dropFirst(prefix.unicodeScalars.count))), tensor.view)
      }
    }
  }
}

import Bytes

/// The names under which folders hold weights.
enum WeightNames {
  static let safetensors = (single: "model.safetensors", index: "model.safetensors.index.json")
  static let torch = (single: "pytorch_model.bin", index: "pytorch_model.bin.index.json")

  static func isSafetensors(_ name: String) -> Bool { name.utf8.suffix(12).elementsEqual(".safetensors".utf8) }

  /// Without an index: the file `single`, or the only file of its kind, or the shards `NAME-00001-of-0000N` when all of
  /// them are there; `nil` when there is no file of its kind.
  static func complete(_ single: String, among names: [String], folder: String) throws(InputError) -> [String]? {
    if names.contains(single) { return [single] }
    let found = names.filter { isCandidate($0, besides: single) }
    guard let first = found.first else { return nil }
    guard let (stem, _, count) = shard(first), found.allSatisfy({ shard($0)?.stem == stem }) else {
      if found.count == 1 { return found }
      throw InputError(
        .missing, "holds \(found.count) files of weights, and nothing says which of them are the model", file: folder,
        remedy: "give the path of one file, or add \(single) or its index")
    }
    for place in 1...max(found.count, count) {
      guard place <= found.count, let (_, number, total) = shard(found[place - 1]), total == count, number == place
      else {
        throw InputError(
          .missing, "shard \(place) of \(count) is missing", file: folder, remedy: "download the missing file")
      }
    }
    return found
  }

  /// Files of the kind of `single`. What trainers save beside weights (`optimizer.bin`, `training_args.bin`) is none.
  private static func isCandidate(_ name: String, besides single: String) -> Bool {
    if isSafetensors(single) { return isSafetensors(name) && !name.hasPrefix("adapter_") }
    if name.hasSuffix(".bin") { return name.hasPrefix("pytorch_model-") }
    return (name.hasSuffix(".pt") || name.hasSuffix(".pth")) && !name.hasPrefix("consolidated.")
      && !["optimizer", "scheduler", "rng_state", "scaler"].contains { name.hasPrefix($0) }
  }

  /// `("model", 1, 3)` of `model-00001-of-00003.safetensors`.
  private static func shard(_ name: String) -> (stem: String, number: Int, count: Int)? {
    guard let dot = name.lastIndex(of: ".") else { return nil }
    let parts = name[..<dot].split(separator: "-", omittingEmptySubsequences: false)
    guard parts.count >= 4, parts[parts.count - 2] == "of", let number = Int(parts[parts.count - 3]),
      let count = Int(parts[parts.count - 1]), number > 0, count > 0
    else { return nil }
    return (parts.dropLast(3).joined(separator: "-"), number, count)
  }

  /// Why a folder holds no model that can be read.
  static func nothing(among names: [String], folder: String) -> InputError {
    func has(_ test: (String) -> Bool) -> Bool { names.contains(where: test) }
    func unsupported(_ what: String, _ remedy: String) -> InputError {
      InputError(.unsupported, "holds \(what)", file: folder, remedy: remedy)
    }
    if has({ $0.hasSuffix(".distcp") }) {
      return unsupported(
        "a distributed checkpoint (.distcp)", "gather it with torch.distributed.checkpoint.format_utils first")
    }
    if has({ $0 == "zero_to_fp32.py" || $0.hasPrefix("zero_pp_rank_") }) {
      return unsupported("a DeepSpeed ZeRO checkpoint", "run the zero_to_fp32.py that lies in it")
    }
    if has({ $0.hasPrefix("adapter_model.") }) {
      return unsupported("an adapter and no model", "give the path of the base model")
    }
    if has({ $0.hasSuffix(".gguf") }) {
      return InputError(
        .missing, "holds no checkpoint, but GGUF files", file: folder, remedy: "give the path of the GGUF file itself")
    }
    return InputError(
      .missing,
      "holds no model: model.safetensors, pytorch_model.bin, an index of shards or consolidated.00.pth expected",
      file: folder,
      remedy: "check the path, or download the weights")
  }
}

public import Bytes
import Tensors

extension GGUFFile {
  /// Checks that the metadata describes a model that can be worked with: what `init` cannot demand of every GGUF file,
  /// since importance matrices and adapters are GGUF files too.
  /// - Parameter architectures: the values of `general.architecture` that the caller knows; `nil` for any.
  /// - Throws: `TYPE`, `SHAPE`, `UNSUPPORTED`, naming the key.
  public func checkModel(architectures: Set<String>? = nil) throws(InputError) {
    try ModelChecks(file: path, metadata: metadata, tensorCount: tensors.count).run(architectures)
  }
}

extension GGUFModel {
  /// As `GGUFFile.checkModel`, for the whole set.
  /// - Throws: as `GGUFFile.checkModel`.
  public func checkModel(architectures: Set<String>? = nil) throws(InputError) {
    try ModelChecks(file: files[0].path, metadata: metadata, tensorCount: tensors.count).run(architectures)
  }
}

private struct ModelChecks {
  let file: String
  let metadata: Metadata
  let tensorCount: Int
  /// No width, depth or vocabulary of any model comes near.
  static let maximum = 1 << 28

  func run(_ architectures: Set<String>?) throws(InputError) {
    let key = "general.architecture"
    guard let architecture = metadata[key]?.string else {
      throw fail(.type, metadata[key] == nil ? "expected a string, found nothing" : "expected a string", key)
    }
    if let architectures, !architectures.contains(where: { ExactString($0) == ExactString(architecture) }) {
      throw fail(
        .unsupported, "the architecture \"\(architecture)\" is not known", key,
        remedy: "known are " + architectures.sorted().joined(separator: ", "))
    }
    try count("\(architecture).block_count", required: true, maximum: blockLimit)
    try count("\(architecture).embedding_length", required: true)
    try count("\(architecture).attention.head_count", required: true)
    for name in [
      "attention.head_count_kv", "feed_forward_length", "context_length", "vocab_size", "attention.key_length",
      "attention.value_length", "rope.dimension_count",
    ] {
      try count("\(architecture).\(name)", required: false)
    }
    try vocabulary()
  }

  /// A block has at least one tensor; a file without any is a vocabulary alone.
  private var blockLimit: Int { tensorCount == 0 ? ModelChecks.maximum : tensorCount }

  /// A whole number from 1 to `maximum`; or one for each block, some of which may be 0.
  private func count(_ key: String, required: Bool, maximum: Int = ModelChecks.maximum) throws(InputError) {
    switch metadata[key] {
    case nil:
      if required { throw fail(.type, "expected a whole number, found nothing", key) }
    case .uint32s(let values):
      guard values.allSatisfy({ Int($0) <= maximum }) else { throw fail(.shape, "a value is over \(maximum)", key) }
    case .int32s(let values):
      guard values.allSatisfy({ (0...maximum).contains(Int($0)) }) else {
        throw fail(.shape, "a value is not in 0 to \(maximum)", key)
      }
    case .some(let value):
      guard let number = value.wholeNumber else { throw fail(.type, "expected a whole number", key) }
      guard (1...UInt64(maximum)).contains(number) else {
        throw fail(
          .shape, "expected a number from 1 to \(maximum), found \(value.integer.map(String.init) ?? "more")", key)
      }
    }
  }

  /// The vocabulary's parallel arrays.
  private func vocabulary() throws(InputError) {
    let key = "tokenizer.ggml.tokens"
    guard let tokens = metadata[key] else { return }
    guard let count = tokens.strings?.count else { throw fail(.type, "expected an array of strings", key) }
    if let scores = metadata["tokenizer.ggml.scores"] {
      guard case .float32s(let values) = scores else {
        throw fail(.type, "expected an array of float32", "tokenizer.ggml.scores")
      }
      try same(values.count, count, "tokenizer.ggml.scores")
    }
    if let types = metadata["tokenizer.ggml.token_type"] {
      guard case .int32s(let values) = types else {
        throw fail(.type, "expected an array of int32", "tokenizer.ggml.token_type")
      }
      try same(values.count, count, "tokenizer.ggml.token_type")
    }
    if let merges = metadata["tokenizer.ggml.merges"], merges.strings == nil {
      throw fail(.type, "expected an array of strings", "tokenizer.ggml.merges")
    }
  }

  private func same(_ found: Int, _ expected: Int, _ key: String) throws(InputError) {
    guard found == expected else { throw fail(.shape, "\(found) elements for \(expected) tokens", key) }
  }

  private func fail(
    _ code: InputError.Code, _ problem: String, _ key: String, remedy: String? = nil
  ) -> InputError {
    InputError(code, problem, file: file, subject: key, remedy: remedy)
  }
}

extension MetadataValue {
  /// `nil` when it is no whole number; 0 for a negative one, which no caller accepts either.
  fileprivate var wholeNumber: UInt64? {
    if case .uint64(let value) = self { return value }
    return integer.map { UInt64(max(0, $0)) }
  }
}

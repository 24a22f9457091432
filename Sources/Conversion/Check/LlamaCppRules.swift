import Bytes
import GGUF
import Tensors

/// What llama.cpp demands of a file before it loads it (llama.cpp 0c1e57098: gguf.cpp, llama-model-loader.cpp,
/// `llama_model_base::load_hparams`, models/llama.cpp, `llama_vocab::impl::load`).
///
/// Of the architecture `llama`. Where a file would load and then fail or mislead, at the first token or by a bad tokenizer,
/// that is a finding as well.
struct LlamaCppRules {
  let model: GGUFModel
  /// The file that was given.
  let path: String
  private(set) var findings: [Finding] = []

  static let architecture = "llama"
  static let maximumLayers = 512
  static let maximumExperts = 1024

  init(_ model: GGUFModel, path: String) { (self.model, self.path) = (model, path) }

  mutating func run() {
    layout()
    set()
    var keys = MetadataRules(model.metadata, rule: .llamaKey)
    let architecture = keys.string("general.architecture", isRequired: true)
    guard architecture.map({ ExactString($0) == ExactString(LlamaCppRules.architecture) }) ?? true else {
      keys.add(
        "general.architecture", "of this architecture no rules are known here, only of llama",
        remedy: "try it with llama.cpp itself")
      return findings += keys.findings
    }
    _ = keys.string("general.name")
    _ = keys.uint32("general.file_type")
    let sizes = Sizes(&keys)
    findings += keys.findings
    var tokenizer = LlamaCppTokenizerRules(model.metadata)
    let tokens = tokenizer.run()
    findings += tokenizer.findings
    if let sizes, let tokens { tensors(of: sizes, tokens: tokens) }
  }

  /// ggml takes every offset for granted: tensors lie in the order of the header, each behind the padding of the one before.
  private mutating func layout() {
    for file in model.files {
      var expected = file.dataOffset
      for (tensor, offset) in zip(file.tensors, file.offsets) {
        if offset != expected {
          findings.append(
            Finding(
              .llamaLayout, tensor.name, "begins at byte \(offset), where ggml expects it at \(expected)",
              remedy: "quern split writes the tensors of a file in the order of its header"))
          break
        }
        expected = (offset + tensor.byteCount + file.alignment - 1) / file.alignment * file.alignment
      }
    }
  }

  private mutating func set() {
    guard model.isSet, model.files.count > 1 else { return }
    if ExactString(ProofFacts.name(path)) != ExactString(ProofFacts.name(model.files[0].path)) {
      findings.append(
        Finding(
          .llamaSet, ProofFacts.name(path), "is not the first file of its set, by which llama.cpp opens it",
          remedy: "give \(ProofFacts.name(model.files[0].path))"))
    }
    for (number, file) in model.files.enumerated() {
      for (key, value) in file.metadata.entries where key.hasPrefix("split.") {
        let isRight =
          switch (key, value) {
          case ("split.no", .uint16), ("split.count", .uint16), ("split.tensors.count", .int32): true
          case ("split.no", _), ("split.count", _), ("split.tensors.count", _): false
          default: true
          }
        guard !isRight, number == 0 || key == "split.no" else { continue }
        findings.append(
          Finding(
            .llamaSet, key,
            "\(ProofFacts.name(file.path)): expected \(key == "split.tensors.count" ? "an int32" : "a uint16"), found \(value.typeName)",
            remedy: "write the set again with quern split"))
      }
    }
    if model.files[0].metadata["split.tensors.count"] == nil {
      findings.append(
        Finding(
          .llamaSet, "split.tensors.count", "expected an int32, found nothing",
          remedy: "write the set again with quern split"))
    }
  }

  private mutating func tensors(of sizes: Sizes, tokens: Int) {
    let expected = sizes.tensors(tokens: tokens)
    let names = Set(expected.map { ExactString($0.name) })
    for tensor in expected {
      guard let found = model.tensor(tensor.name) else {
        if tensor.isRequired {
          findings.append(
            Finding(.llamaTensor, tensor.name, "the tensor is missing", remedy: "convert the model again"))
        }
        continue
      }
      let shape = found.shape.ggmlOrder
      if LlamaCppRules.four(shape) != LlamaCppRules.four(tensor.dimensions) {
        findings.append(
          Finding(
            .llamaTensor, tensor.name, "expected \(tensor.dimensions) in ggml's order, found \(shape)",
            remedy: "the keys or the tokens are not this model's: convert it again"))
      }
      if tensor.isPlain ? found.dtype != .f32 : !LlamaCppRules.isWeightType(found.dtype) {
        findings.append(
          Finding(
            .llamaTensor, tensor.name,
            "expected \(tensor.isPlain ? "F32" : "a type that ggml multiplies by"), found \(found.dtype)",
            remedy: "convert the model again"))
      }
    }
    for tensor in model.tensors where !names.contains(ExactString(tensor.name)) {
      findings.append(
        Finding(
          .llamaTensor, tensor.name, "is no tensor of this model; llama.cpp refuses a file that has one too many",
          remedy: "convert the model again"))
    }
  }

  private static func four(_ dimensions: [Int]) -> [Int] {
    dimensions + [Int](repeating: 1, count: max(0, 4 - dimensions.count))
  }

  private static func isWeightType(_ type: DType) -> Bool {
    switch type {
    case .f32, .f16, .bf16: true
    case .q8_1, .q8_K: false
    default: type.isBlock && type.ggmlID != nil
    }
  }
}

extension LlamaCppRules {
  /// The numbers that shapes follow from.
  struct Sizes {
    let layers: Int
    let width: Int
    let feedForward: Int
    let heads: Int
    let keyValueHeads: Int
    let headWidth: Int
    let experts: Int

    struct ExpectedTensor {
      var name: String
      /// In ggml's order.
      var dimensions: [Int]
      var isRequired = true
      /// Read as F32 whatever else is quantized.
      var isPlain = false
    }

    /// `nil` when a number is missing or makes no sense, which `keys` tells then.
    init?(_ keys: inout MetadataRules) {
      let prefix = LlamaCppRules.architecture + "."
      let context = keys.uint32(prefix + "context_length", isRequired: true)
      let width = keys.uint32(prefix + "embedding_length", isRequired: true)
      var layers = keys.uint32(prefix + "block_count", isRequired: true)
      if let count = layers, !(1...LlamaCppRules.maximumLayers).contains(count) {
        keys.add(prefix + "block_count", "expected 1 to \(LlamaCppRules.maximumLayers), found \(count)")
        layers = nil
      }
      let feedForward = keys.layered(prefix + "feed_forward_length", layers: layers, isRequired: true)
      let heads = keys.layered(prefix + "attention.head_count", layers: layers, isRequired: true)
      let keyValueHeads = keys.layered(prefix + "attention.head_count_kv", layers: layers) ?? heads
      _ = keys.float32(prefix + "attention.layer_norm_rms_epsilon", isRequired: true)
      Sizes.checkOptional(&keys, prefix)
      let experts = Sizes.experts(&keys, prefix, layers: layers)
      let keyWidth = keys.uint32(prefix + "attention.key_length")
      let valueWidth = keys.uint32(prefix + "attention.value_length")
      let rotated = keys.uint32(prefix + "rope.dimension_count")
      guard let layers, let width, let feedForward, let heads, let keyValueHeads, let experts, context != nil else {
        return nil
      }
      guard heads > 0, keyValueHeads > 0, heads % keyValueHeads == 0 else {
        keys.add(
          prefix + "attention.head_count", "expected a multiple of the \(keyValueHeads) heads of keys, found \(heads)")
        return nil
      }
      let headWidth = keyWidth ?? width / heads
      for (name, other) in [
        ("attention.value_length", valueWidth ?? width / heads), ("rope.dimension_count", rotated ?? headWidth),
      ]
      where other != headWidth {
        keys.add(prefix + name, "expected \(headWidth), the width of a head, found \(other)")
      }
      guard headWidth > 0 else {
        keys.add(prefix + "attention.head_count", "\(heads) heads in a width of \(width)")
        return nil
      }
      (self.layers, self.width, self.feedForward, self.heads, self.keyValueHeads, self.headWidth, self.experts) = (
        layers, width, feedForward, heads, keyValueHeads, headWidth, experts
      )
    }

    private static func checkOptional(_ keys: inout MetadataRules, _ prefix: String) {
      for name in [
        "vocab_size", "embedding_length_out", "pooling_type", "nextn_predict_layers", "expert_group_count",
        "expert_group_used_count", "rope.scaling.original_context_length",
      ] { _ = keys.uint32(prefix + name) }
      for name in ["rope.freq_base", "rope.scaling.factor", "rope.scale_linear", "rope.scaling.attn_factor"] {
        _ = keys.float32(prefix + name)
      }
      for name in ["rope.scaling.finetuned", "attention.causal"] { _ = keys.bool(prefix + name) }
      let known = ["none", "linear", "yarn", "longrope"]
      if let type = keys.string(prefix + "rope.scaling.type"), !known.contains(type) {
        keys.add(prefix + "rope.scaling.type", "expected one of \(known.joined(separator: ", ")), found \"\(type)\"")
      }
    }

    /// How many there are; `nil` when the two keys contradict each other.
    private static func experts(_ keys: inout MetadataRules, _ prefix: String, layers: Int?) -> Int? {
      let count = keys.uint32(prefix + "expert_count") ?? 0
      let used = keys.layered(prefix + "expert_used_count", layers: layers) ?? 0
      guard count <= LlamaCppRules.maximumExperts else {
        keys.add(prefix + "expert_count", "expected at most \(LlamaCppRules.maximumExperts), found \(count)")
        return nil
      }
      guard count == 0 ? used == 0 : (1...count).contains(used) else {
        keys.add(
          prefix + "expert_used_count", "expected \(count == 0 ? "0" : "1 to \(count)"), found \(used)")
        return nil
      }
      return count
    }

    /// - Parameter tokens: of the vocabulary, which llama.cpp takes for the rows of the embedding.
    func tensors(tokens: Int) -> [ExpectedTensor] {
      typealias T = ExpectedTensor
      var list = [
        T(name: "token_embd.weight", dimensions: [width, tokens]),
        T(name: "output_norm.weight", dimensions: [width], isPlain: true),
        T(name: "output.weight", dimensions: [width, tokens], isRequired: false),
        T(name: "rope_freqs.weight", dimensions: [headWidth / 2], isRequired: false, isPlain: true),
      ]
      let (query, key) = (headWidth * heads, headWidth * keyValueHeads)
      for layer in 0..<layers {
        let block = "blk.\(layer)."
        func add(_ name: String, _ dimensions: [Int], required: Bool = true, plain: Bool = false) {
          list.append(T(name: block + name, dimensions: dimensions, isRequired: required, isPlain: plain))
        }
        func linear(_ name: String, _ dimensions: [Int], required: Bool = true) {
          add(name + ".weight", dimensions, required: required)
          add(name + ".bias", [dimensions[1]], required: false, plain: true)
        }
        add("attn_norm.weight", [width], plain: true)
        add("ffn_norm.weight", [width], plain: true)
        linear("attn_q", [width, query])
        linear("attn_k", [width, key])
        linear("attn_v", [width, key])
        linear("attn_output", [query, width])
        if experts == 0 {
          linear("ffn_gate", [width, feedForward])
          linear("ffn_up", [width, feedForward])
          linear("ffn_down", [feedForward, width])
        } else {
          add("ffn_gate_inp.weight", [width, experts])
          add("ffn_gate_exps.weight", [width, feedForward, experts], required: false)
          add("ffn_up_exps.weight", [width, feedForward, experts])
          add("ffn_down_exps.weight", [feedForward, width, experts])
        }
      }
      return list
    }
  }
}

import Bytes
import Tensors

/// What llama.cpp demands of a vocabulary (llama.cpp 0c1e57098, `llama_vocab::impl::load`).
struct LlamaCppTokenizerRules {
  private var keys: MetadataRules

  var findings: [Finding] { keys.findings }

  private static let prefix = "tokenizer.ggml."

  init(_ metadata: Metadata) { keys = MetadataRules(metadata, rule: .llamaTokenizer) }

  /// - Returns: how many tokens it takes the vocabulary to have; `nil` when it has none that loads.
  mutating func run() -> Int? {
    let prefix = LlamaCppTokenizerRules.prefix
    guard let model = keys.string(prefix + "model", isRequired: true) else { return nil }
    let pre = keys.string(prefix + "pre")
    guard LlamaCppTokenizerRules.models.contains(model) else {
      keys.add(prefix + "model", "no kind of tokenizer: \"\(model)\"")
      return nil
    }
    if ["no_vocab", "none"].contains(model) { return keys.uint32("llama.vocab_size") ?? 0 }
    if ["gpt2", "gemma4"].contains(model) { bytePairs(pre, isDefault: model == "gpt2") }
    let tokens = vocabulary()
    for role in [
      "bos", "eos", "eot", "eom", "unknown", "seperator", "padding", "mask", "prefix", "suffix", "middle",
    ] {
      let key = "\(prefix)\(role)_token_id"
      if let id = keys.uint32(key), let tokens, id >= tokens {
        keys.add(key, "expected an id below \(tokens), found \(id); llama.cpp would take another token instead")
      }
    }
    for name in ["add_bos_token", "add_eos_token", "add_sep_token", "add_space_prefix", "remove_extra_whitespaces"] {
      _ = keys.bool(prefix + name)
    }
    _ = keys.string("tokenizer.chat_template")
    return tokens
  }

  private mutating func bytePairs(_ pre: String?, isDefault: Bool) {
    let prefix = LlamaCppTokenizerRules.prefix
    _ = keys.strings(prefix + "merges", isRequired: true)
    guard isDefault else { return }
    guard let pre else {
      if keys.metadata[prefix + "pre"] == nil {
        keys.add(
          prefix + "pre",
          "expected a string, found nothing; llama.cpp would cut texts in a way that hardly any model learned",
          remedy: "convert the model again, or name its pre-tokenizer with --override-kv")
      }
      return
    }
    if !LlamaCppTokenizerRules.preTokenizers.contains(pre) {
      keys.add(prefix + "pre", "no pre-tokenizer that llama.cpp knows: \"\(pre)\"")
    }
  }

  private mutating func vocabulary() -> Int? {
    let prefix = LlamaCppTokenizerRules.prefix
    guard let tokens = keys.strings(prefix + "tokens", isRequired: true) else { return nil }
    for (name, isRight, type) in [
      ("scores", { if case .float32s = $0 { true } else if case .int32s = $0 { true } else { false } }, "float32"),
      ("token_type", { if case .int32s = $0 { true } else { false } }, "int32"),
    ] as [(String, (MetadataValue) -> Bool, String)] {
      guard let value = keys.metadata[prefix + name] else { continue }
      guard isRight(value) else {
        keys.add(
          prefix + name, "expected an array of \(type), found \(value.typeName)")
        continue
      }
      let count =
        switch value {
        case .float32s(let values): values.count
        case .int32s(let values): values.count
        default: 0
        }
      if count < tokens.count {
        keys.add(
          prefix + name, "expected a value for each of \(tokens.count) tokens, found \(count)")
      }
    }
    var seen: Set<ExactString> = []
    for (id, token) in tokens.enumerated() where !token.isEmpty {
      guard seen.insert(ExactString(token)).inserted else {
        keys.add(
          prefix + "tokens",
          "token \(id) has the text of an earlier one, on which llama.cpp ends: \"\(printable(token, limit: 40))\"")
        break
      }
    }
    return tokens.count
  }

  /// Values of `tokenizer.ggml.model`.
  private static let models: Set<String> = [
    "no_vocab", "none", "llama", "bert", "gpt2", "hybriddna", "whitespace", "t5", "rwkv", "plamo2", "gemma4",
  ]

  /// Values of `tokenizer.ggml.pre` for byte pairs.
  private static let preTokenizers: Set<String> = [
    "a.x-4.0", "afmoe", "bailingmoe", "bailingmoe2", "bloom", "chameleon", "chatglm-bpe", "codeshell", "cohere2moe",
    "command-r", "dbrx", "deepseek-coder", "deepseek-llm", "deepseek-r1-qwen", "deepseek-v3", "default", "exaone",
    "exaone-moe", "exaone4", "f2llmv2", "falcon", "falcon-h1", "falcon3", "gemma4", "gigachat", "glm4", "glm5",
    "gpt-2", "gpt-4o", "gpt3-finnish", "granite-docling", "granite-embed-multi-311m", "granite-embed-multi-97m",
    "grok-2", "hunyuan", "hunyuan-dense", "hy_v4", "jais", "jais-2", "jina-de", "jina-es", "jina-v1-en",
    "jina-v2-code", "jina-v2-de", "jina-v2-es", "jina-v5-nano", "joyai-llm", "kanana2", "kimi-k2", "kormo",
    "laguna", "lfm2", "llada-moe", "llama-bpe", "llama-v3", "llama3", "llama4", "megrez", "mellum", "mellum2",
    "midm-2.0", "minerva-7b", "minicpm5", "minimax-m2", "modern-bert", "mpt", "olmo", "phi-2", "pixtral",
    "poro-chat", "qwen2", "qwen35", "refact", "roberta-bpe", "sarvam-moe", "seed-coder", "smaug-bpe", "smollm",
    "solar-open", "spark2_5", "stablelm2", "starcoder", "superbpe", "talkie", "tekken", "tiny_aya", "trillion",
    "ufakzeka", "viking", "whitespace", "youtu",
  ]
}

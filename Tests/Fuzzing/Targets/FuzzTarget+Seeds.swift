import Bytes
import TestSupport

extension FuzzTarget {
  /// Files to begin with: right ones among the fixtures, and all in `fixtures/fuzz/TARGET`.
  package var seeds: [String] {
    get throws {
      let folder = Fixtures.path("fuzz/\(rawValue)")
      let found = try SystemCalls.status(at: folder) == nil ? [] : SystemCalls.entries(of: folder)
      return fixtures.map(Fixtures.path) + found.map { "\(folder)/\($0)" }
    }
  }

  private var fixtures: [String] {
    switch self {
    case .safetensors: ["safetensors/golden.safetensors"]
    case .torch: ["torch/zip.pt", "torch/old.pt", "torch/legacy.pt", "torch/deflated.pt", "torch/training.pt"]
    case .gguf: ["gguf/everything.gguf"] + (1...3).map { "gguf/set-0000\($0)-of-00003.gguf" }
    case .tokenizer: ["tokens/byte-fallback.json"]
    case .sentencepiece:
      ["bpe", "bpe-user-defined", "unigram", "unigram-no-bytes"].map { "tokens/\($0).model" }
    case .config: ["tiny-llama/config.json"]
    case .pickle, .imatrix, .ranks, .params, .checklist, .tasks, .logits, .hessian: []
    }
  }
}

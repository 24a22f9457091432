import Models
import Testing

/// Recorded from gguf-py of llama.cpp 0c1e57098: `Metadata.get_model_id_components`, `Metadata.id_to_title`, `size_label`.
@Suite struct ModelNameTests {
  struct Case: Sendable {
    let id: String, elements: Int, title: String
    let organization, basename, finetune, version, size: String?

    init(
      _ id: String, _ elements: Int, _ title: String, _ organization: String?, _ basename: String?,
      _ finetune: String?, _ version: String?, _ size: String?
    ) {
      (self.id, self.elements, self.title, self.organization) = (id, elements, title, organization)
      (self.basename, self.finetune, self.version, self.size) = (basename, finetune, version, size)
    }
  }

  static let cases = [
    Case("tiny-llama", 6818048, "Tiny Llama", nil, nil, nil, nil, nil),
    Case("smollm2", 134515008, "Smollm2", nil, nil, nil, nil, nil),
    Case("Meta-Llama-3-8B", 8030261248, "Meta Llama 3 8B", nil, "Meta-Llama-3", nil, nil, "8B"),
    Case("Llama-3.2-1B-Instruct", 1235814432, "Llama 3.2 1B Instruct", nil, "Llama-3.2", "Instruct", nil, "1B"),
    Case(
      "Meta-Llama-3.1-70B-Instruct", 70553706560, "Meta Llama 3.1 70B Instruct", nil, "Meta-Llama-3.1", "Instruct", nil,
      "70B"),
    Case("Llama-2-7b-chat-hf", 6738415616, "Llama 2 7b Chat Hf", nil, "Llama-2", "chat-hf", nil, "7B"),
    Case("Llama-2-7b-hf", 6738415616, "Llama 2 7b Hf", nil, "Llama-2", "hf", nil, "7B"),
    Case("TinyLlama-1.1B-Chat-v1.0", 1100048384, "TinyLlama 1.1B Chat v1.0", nil, "TinyLlama", "Chat", "v1.0", "1.1B"),
    Case("Mistral-7B-Instruct-v0.3", 7248023552, "Mistral 7B Instruct v0.3", nil, "Mistral", "Instruct", "v0.3", "7B"),
    Case("Mixtral-8x7B-v0.1", 46702792704, "Mixtral 8x7B v0.1", nil, "Mixtral", nil, "v0.1", "8x7B"),
    Case(
      "Llama-3-8B-Instruct-Gradient-1048k", 8030261248, "Llama 3 8B Instruct Gradient 1048k", nil, "Llama-3",
      "Instruct-Gradient-1048k", nil, "8B"),
    Case("Yarn-Llama-2-7b-128k", 6738415616, "Yarn Llama 2 7b 128k", nil, "Yarn-Llama-2", "128k", nil, "7B"),
    Case("bloom-7b1", 7069016064, "Bloom 7b1", nil, "bloom", nil, nil, "7.1B"),
    Case("SmolLM2-135M-Instruct", 134515008, "SmolLM2 135M Instruct", nil, "SmolLM2", "Instruct", nil, "135M"),
    Case("Hermes-3-Llama-3.1-8B", 8030261248, "Hermes 3 Llama 3.1 8B", nil, "Hermes-3-Llama-3.1", nil, nil, "8B"),
    Case("openchat-3.5-0106", 7241732096, "Openchat 3.5 0106", nil, "openchat", nil, "3.5-0106", nil),
    Case("Qwen2.5-1_5B", 1543714304, "Qwen2.5 1_5B", nil, "Qwen2.5", nil, nil, "1.5B"),
    Case("meta-llama/Llama-3.2-3B", 3212749888, "Llama 3.2 3B", "meta-llama", "Llama-3.2", nil, nil, "3B"),
    Case("./checkpoint-500", 1000, "Checkpoint 500", nil, "checkpoint", nil, "500", nil),
    Case("a model of mine", 1000, "A Model Of Mine", nil, nil, nil, nil, nil),
    Case("Llama-3-8B-Q4_K_M-fp16", 8030261248, "Llama 3 8B Q4_K_M Fp16", nil, "Llama-3", nil, nil, "8B"),
    Case("v1", 1234, "v1", nil, nil, nil, "v1", nil),
    Case("", 0, "", nil, nil, nil, nil, nil),
    Case("phi-3-mini-4k-instruct", 3821079552, "Phi 3 Mini 4k Instruct", nil, "phi-3", "4k-instruct", nil, "mini"),
    Case("model-small-LoRA", 100, "Model Small LoRA", nil, "model", "LoRA", nil, "small"),
    Case("Qwen3-30B-A3B", 30532122624, "Qwen3 30B A3B", nil, "Qwen3", nil, nil, "30B-A3B"),
    Case("--x--", 5, "X", nil, nil, nil, nil, nil),
    Case("Llama--8B", 8030261248, "Llama 8B", nil, "Llama", nil, nil, "8B"),
    Case("8B-llama", 8030261248, "8B Llama", nil, nil, "8B-llama", nil, nil),
    Case(
      "llama-8b-8b-instruct-instruct", 8030261248, "Llama 8b 8b Instruct Instruct", nil, "llama", "instruct-instruct",
      nil, "8B"),
    Case("iter3-llama-0.5K", 500, "Iter3 Llama 0.5K", nil, "iter3-llama", nil, nil, "0.5K"),
    Case("llama-iq2_xs", 5, "Llama Iq2_Xs", nil, nil, nil, nil, nil),
  ]

  @Test(arguments: cases) func partsOfANameAreThoseOfTheIncumbent(_ expected: Case) {
    let name = ModelName(expected.id, parameterCount: expected.elements)
    #expect(ModelName.title(name.full) == expected.title)
    #expect(name.organization == expected.organization)
    #expect(name.basename == expected.basename)
    #expect(name.finetune == expected.finetune)
    #expect(name.version == expected.version)
    #expect(name.sizeLabel == expected.size)
  }

  static let labels: [(Int, String)] = [
    (1, "0.00K"), (9, "0.01K"), (10, "0.01K"), (499, "0.50K"), (500, "0.50K"), (501, "0.5K"), (994, "1.0K"),
    (995, "1.0K"), (999, "1.0K"), (1000, "1.0K"), (1500, "1.5K"), (9949, "10K"), (9950, "10K"), (99500, "100K"),
    (100000, "100K"), (949999, "950K"), (950000, "950K"), (999999, "1000K"), (1000000, "1000K"), (1000001, "1.0M"),
    (1050000, "1.1M"), (1050001, "1.1M"), (1150000, "1.1M"), (1250000, "1.2M"), (6818048, "6.8M"), (9949999, "10M"),
    (9950000, "10M"), (9500000, "10M"), (99500000, "100M"), (134515008, "135M"), (134500000, "134M"),
    (135500000, "136M"), (1000000000, "1000M"), (1000000001, "1.0B"), (1100048384, "1.1B"), (1235814432, "1.2B"),
    (8030261248, "8.0B"), (70553706560, "71B"), (405853388800, "406B"), (1000000000001, "1.0T"),
    (1250000000000, "1.2T"),
  ]

  @Test(arguments: labels) func sizesAreRoundedAsTheIncumbentDoes(_ elements: Int, _ label: String) {
    #expect(ModelName.sizeLabel(elements: elements) == label)
  }
}

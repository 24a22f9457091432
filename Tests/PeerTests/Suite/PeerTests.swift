import Foundation
import TestSupport
import Testing

/// The scripts in the folder above, each of which compares something with a real peer and exits with 1 when it differs. They
/// run when QUERN_PEERS names the virtual environment that `make test-peers` fills.
enum Peers {
  static let folder = ProcessInfo.processInfo.environment["QUERN_PEERS"]
  static let scripts = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().path

  /// What a script printed; an issue is recorded when it did not exit with 0.
  static func run(_ script: String, _ arguments: [String]) throws {
    let folder = try #require(folder)
    let run = try CommandRun(folder + "/bin/python", [scripts + "/" + script] + arguments)
    tell("\(script):\n\(run.output)")
    #expect(run.code == 0, "\(script): \(run.errors.suffix(3000))")
  }

  /// Whether QUERN_THOROUGH asks for as many weights and texts as the figures in the documents were taken with: an hour more.
  static let isThorough = ProcessInfo.processInfo.environment["QUERN_THOROUGH"] != nil

  /// Texts that may be measured on but not shipped lie beside a checkout.
  static let sharedText = URL(fileURLWithPath: Fixtures.folder).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("shared/text").path
}

@Suite(.enabled(if: Peers.folder != nil, "set by `make test-peers`"))
struct PeerTests {
  private let venv = Peers.folder ?? ""
  private let tiny = Fixtures.path("tiny-llama")
  private let probe = CommandRun.products + "/quern-peer"
  private var smolLM2: String { venv + "/smollm2" }
  /// WikiText-2 where it is at hand.
  private static let text =
    [Peers.sharedText + "/wikitext2-test.txt"].first(where: FileManager.default.fileExists)
    ?? Fixtures.path("text/python-docs-evaluate.txt")

  /// 0 differing bytes over a million weights a format, hard rows included, or ten million.
  @Test func quantizesToTheBytesOfGGML() throws {
    try Peers.run("blocks.py", [probe, "--weights", Peers.isThorough ? "10000000" : "1000000"])
  }

  @Test func theDefinitionsAreTheBytesOfGGML() throws {
    try Peers.run("blocks.py", [probe, "--path", "definition", "--weights", Peers.isThorough ? "10000000" : "300000"])
  }

  @Test func readsCheckpointsAsSafetensorsAndTorch() throws {
    try Peers.run("checkpoints.py", [probe])
  }

  @Test func submissionsAreValidForKubernetes() throws {
    try Peers.run("kubernetes.py", [CommandRun.quern, tiny])
  }

  @Test func theRecordedBlocksAreThoseOfGGML() throws {
    try Peers.run("record_blocks.py", ["--check"])
  }

  @Test func decidesTypesAsLlamaQuantize() throws {
    try Peers.run("recipes.py", [probe, venv + "/llama.cpp/build/bin/llama-quantize"])
  }

  @Test func convertsToTheBytesOfLlamaQuantize() throws {
    try Peers.run("conversions.py", [venv, CommandRun.quern, tiny])
  }

  /// The same files as llama-gguf-split, read by it and by llama-quantize, and its own read by us.
  @Test func splitsAndMergesAsLlamaGgufSplit() throws {
    try Peers.run(
      "splits.py",
      [venv, CommandRun.quern, tiny] + (Peers.isThorough ? [venv + "/smollm2"] : []))
  }

  /// Every key that a README.md gives a model, and cards that nobody should read.
  @Test func readsModelCardsAsTheConverter() throws {
    try Peers.run("cards.py", [venv, CommandRun.quern, tiny])
  }

  /// What `check --for llama.cpp` passes loads there, and what is refused there has findings.
  @Test func findsWhatLlamaCppRefuses() throws {
    try Peers.run("check_rules.py", [venv, CommandRun.quern, tiny])
  }

  /// Conversion, quantizing, logits and perplexity of small random Llamas, Mistrals and Mixtrals.
  @Test func treatsEveryFamilyAsItsPeersDo() throws {
    try Peers.run(
      "families.py", [venv, CommandRun.quern, probe, tiny, Fixtures.path("text/python-docs-evaluate.txt")])
  }

  @Test func theRecordedFamiliesAndPassesAreThoseOfThePeers() throws {
    try Peers.run("record_families.py", [venv, "--check"])
    try Peers.run("record_forward.py", ["--check"])
  }

  @Test func tokenizesAsHuggingFace() throws {
    try Peers.run("tokens.py", [probe, tiny, smolLM2])
  }

  /// sentencepiece, tiktoken, Hugging Face and llama.cpp, each on its own form of vocabulary.
  @Test func readsEveryFormOfVocabulary() throws {
    let models = try FileManager.default.contentsOfDirectory(atPath: venv + "/tokenizers").filter {
      $0.contains(".model.v")
    }
    try Peers.run(
      "vocabularies.py",
      [venv, probe, "--trained", "--sentencepiece"] + models.sorted().map { venv + "/tokenizers/" + $0 }
        + ["--ranks", venv + "/tokenizers/llama3/tokenizer.model", tiny + "/original/tokenizer.model"]
        + ["--llama-cpp", venv + "/llama.cpp", "--random", Peers.isThorough ? "100000" : "3000"])
  }

  /// Folders with every set of tokenizer files that models are published with, beside convert_hf_to_gguf.py's metadata.
  @Test func convertsEveryFormOfTokenizer() throws {
    try Peers.run(
      "tokenizer_forms.py",
      [venv, CommandRun.quern, "--sentencepiece", venv + "/tokenizers/tokenizer.model.v1", "--folder", tiny, smolLM2])
  }

  @Test func computesTheLogitsOfTransformers() throws {
    let text = Fixtures.path("text/python-docs-evaluate.txt")
    try Peers.run("logits.py", [probe, tiny, text])
    try Peers.run("logits.py", [probe, smolLM2, text])
  }

  /// Logits and files from shards that Meta's own code wrote.
  @Test func readsMetasFormAsMetaDoes() throws {
    try Peers.run("meta.py", [venv, probe, CommandRun.quern, tiny])
  }

  @Test func generatesTheTextOfLlamaCppsOwnFile() throws {
    try Peers.run("greedy.py", [venv, CommandRun.quern, smolLM2])
  }

  /// llama-perplexity reads our files of logits and we its, and both find the same in them.
  @Test func exchangesFilesOfLogitsWithLlamaCpp() throws {
    let text = Fixtures.path("text/python-docs-evaluate.txt")
    try Peers.run("logits_files.py", [venv, CommandRun.quern, probe, text, "--model", tiny])
    let chunks = Peers.isThorough ? "20" : "4"
    try Peers.run("logits_files.py", [venv, CommandRun.quern, probe, text, "--chunks", chunks])
  }

  /// The same choices as llama-perplexity and lm-eval, item by item.
  @Test func answersAsLlamaCppAndLMEval() throws {
    try Peers.run(
      "tasks.py", [venv, CommandRun.quern, PeerTests.text, "--items", Peers.isThorough ? "1000" : "200"])
  }

  @Test func hasThePerplexityOfLlamaCpp() throws {
    try Peers.run("perplexities.py", [venv, CommandRun.quern, PeerTests.text])
  }

  /// Every value within 1 %, and each tool's files read by the other. SmolLM2 in F32: with F16 weights llama.cpp rounds
  /// what it multiplies to F16 too, and two of 149,970 values are further than that from its own F32.
  @Test func measuresTheImportanceOfLlamaImatrix() throws {
    try Peers.run(
      "importance.py",
      [venv, CommandRun.quern, tiny, Fixtures.path("text/python-docs-calibrate.txt"), "--chunks", "8"])
    try Peers.run(
      "importance.py", [venv, CommandRun.quern, smolLM2, PeerTests.text, "--type", "Q4_K_M", "--exact"])
  }

  /// Error feedback into plain groups of 128 loses no more than llm-compressor's GPTQ on the same inputs and weights.
  @Test func losesNoMoreThanLlmCompressor() throws {
    try Peers.run(
      "gptq.py",
      [venv, probe, tiny, Fixtures.path("text/python-docs-calibrate.txt")])
  }

  /// Mean divergence and change of probability within 1e-4 of transformers' in float64, the same choices.
  @Test func driftIsThatOfFloat64() throws {
    let text = Fixtures.path("text/python-docs-evaluate.txt")
    try Peers.run("drift_float64.py", [venv, CommandRun.quern, text, tiny])
    guard Peers.isThorough else { return }
    try Peers.run(
      "drift_float64.py", [venv, CommandRun.quern, text, smolLM2, "--chunks", "2", "--types", "Q8_0,Q4_K_M"])
  }

  /// Every statistic of `--kl-divergence`, with the weights in blocks and written out.
  @Test func driftIsThatOfLlamaCpp() throws {
    let text = Fixtures.path("text/python-docs-evaluate.txt")
    try Peers.run("drift_llama.py", [venv, CommandRun.quern, text, tiny])
    guard Peers.isThorough else { return }
    try Peers.run("drift_llama.py", [venv, CommandRun.quern, text, smolLM2, "--chunks", "8"])
  }
}

import Bytes
import Conversion
import Dispatch
import Foundation
import Synchronization
import Tensors
import TestSupport
import Testing

/// Model cards beside the weights, and those that are written; every key is held against the converter in the peers' `cards.py`.
@Suite struct ModelCardTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// The tiny model with this README.md.
  private func model(_ card: String) throws -> ModelInput {
    let path = folder.path("model")
    if try folder.names().isEmpty {
      try FileManager.default.copyItem(atPath: Fixtures.path("tiny-llama"), toPath: path)
    }
    try folder.write("model/README.md", card)
    return try ModelInput(opening: path)
  }

  @Test func whatTheCardSaysGoesBeforeTheNames() throws {
    let metadata = try model(
      "---\nlicense: mit\nmodel_name: A Name\nlanguage: [en, de]\ntags:\n- a\npipeline_tag: b\nbase_model: some-org/Base-7B-v2\n---\n"
    ).metadata
    #expect(metadata["general.name"]?.string == "A Name" && metadata["general.license"]?.string == "mit")
    #expect(metadata["general.languages"]?.strings == ["en", "de"])
    #expect(metadata["general.tags"]?.strings == ["a", "b"])
    #expect(metadata["general.base_model.count"] == .uint32(1))
    #expect(metadata["general.base_model.0.organization"]?.string == "Some Org")
    #expect(metadata["general.base_model.0.repo_url"]?.string == "https://huggingface.co/some-org/Base-7B-v2")
  }

  static let hostile: [(name: String, card: String)] = [
    ("brackets", "---\ntags: " + String(repeating: "[", count: 100_000)),
    ("brackets within bounds", "---\ntags: " + String(repeating: "[", count: 1000)),
    ("braces within bounds", "---\ntags: " + String(repeating: "{a: ", count: 1000)),
    ("hyphens", "---\n" + String(repeating: "- ", count: 100_000)),
    ("question marks", "---\n" + String(repeating: "? ", count: 60)),
    ("aliases", "---\na: &a [1, 1]\nb: &b [*a, *a]\n? *b\n: 1\n---\n"),
    ("size", "---\n" + String(repeating: "# x\n", count: 100_000) + "license: mit\n---\n"),
    ("no YAML", "---\nlicense: \"\n---\n"), ("NUL", "---\nlicense: \u{0}\n---\n"),
    ("a tag", "---\nlicense: !!binary x\nname: !!python/object:os.system x\n"),
  ]

  /// Also on the small stack of a worker thread.
  @Test(arguments: hostile.indices) func aCardStopsNoConversion(_ index: Int) throws {
    _ = try model(Self.hostile[index].card)
    let path = folder.path("model")
    let failure = Mutex<String?>(nil)
    DispatchQueue.concurrentPerform(iterations: 3) { _ in
      do { _ = try ModelInput(opening: path) } catch { failure.withLock { $0 = "\(error)" } }
    }
    #expect(failure.withLock(\.self) == nil)
  }

  @Test func aCardThatIsLeftOutIsNoted() throws {
    let notes = try model("---\nlicense: [\n---\n").notes
    #expect(
      notes.contains { $0.contains("model card") && $0.contains("README.md") && $0.contains("[YAML]") }, "\(notes)")
    #expect(try model("# no front matter").notes.allSatisfy { !$0.contains("model card") })
  }

  @Test(arguments: [
    ("{% for m in messages %}<|im_start|>{{ m.role }}<|im_end|>{% endfor %}", "<|im_start|>assistant"),
    ("<|start_header_id|>x<|end_header_id|>y<|eot_id|>", "<|start_header_id|>assistant<|end_header_id|>"),
    ("[INST] <<SYS>> [/INST]", "<<SYS>>\n{{ .System }}"), ("[INST] [/INST]", "[INST] {{ if .System }}"),
  ])
  func aModelfileHasThePlainFormOfAKnownTemplate(jinja: String, expected: String) {
    var metadata = Metadata()
    metadata["tokenizer.chat_template"] = .string(jinja)
    let text = Modelfile(for: "a/b.gguf", metadata).text
    #expect(text.hasPrefix("FROM ./b.gguf\n") && text.contains("TEMPLATE \"\"\"") && text.contains(expected))
  }

  @Test func aModelfileSaysNothingThatTheModelDoesNot() {
    var metadata = Metadata()
    metadata["tokenizer.chat_template"] = .string("{{ something else }}")
    metadata["tokenizer.ggml.tokens"] = .strings(["a", "<|eot|>", "with \" quote"])
    metadata["tokenizer.ggml.eos_token_id"] = .uint32(1)
    metadata["tokenizer.ggml.eot_token_id"] = .uint32(2)
    metadata["tokenizer.ggml.eom_token_id"] = .uint32(9)
    metadata["general.sampling.temp"] = .float32(0.6)
    metadata["general.sampling.top_k"] = .int32(40)
    #expect(
      Modelfile(for: "b.gguf", metadata).text
        == "FROM ./b.gguf\n\nPARAMETER stop \"<|eot|>\"\nPARAMETER temperature 0.6\nPARAMETER top_k 40\n")
  }
}

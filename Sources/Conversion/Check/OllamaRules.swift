import Bytes
import GGUF
import Tensors

/// What Ollama demands of the files that a Modelfile's FROM names, beyond what llama.cpp does, which it loads them with.
///
/// Read in Ollama's source of 2026 (server/create.go, parser); Ollama itself was not at hand to be tried.
struct OllamaRules {
  let model: GGUFModel
  private(set) var findings: [Finding] = []
  /// What is worth knowing and no fault.
  private(set) var notes: [String] = []

  private static let maximumFiles = 1024

  init(_ model: GGUFModel) { self.model = model }

  mutating func run() throws {
    kind()
    for file in model.files { try place(of: file.path) }
    set()
    if model.metadata["tokenizer.chat_template"]?.string == nil {
      notes.append(
        "the file has no chat template: Ollama will complete texts with it and not converse, unless a Modelfile has a TEMPLATE"
      )
    }
  }

  private mutating func kind() {
    let key = "general.type"
    guard let kind = model.metadata[key]?.string else { return }
    if kind != "model" {
      findings.append(
        Finding(
          .ollamaKind, key, "expected \"model\", found \"\(printable(kind, limit: 40))\", which cannot be run",
          remedy: kind == "adapter" ? "merge the adapter with its model first" : "give a model"))
    }
  }

  /// Only what lies in the folder itself is taken: a link that leads out of it is called insecure.
  private mutating func place(of path: String) throws {
    let name = ProofFacts.name(path)
    let folder = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    if let target = try SystemCalls.canonicalPath(path), let inside = try SystemCalls.canonicalPath(folder),
      !target.hasPrefix(inside == "/" ? "/" : inside + "/")
    {
      findings.append(
        Finding(
          .ollamaPath, name, "is a link that leads out of its folder, which Ollama refuses",
          remedy: "put the file itself there"))
    }
    if name.contains("\\") || name.contains(":") {
      findings.append(
        Finding(
          .ollamaPath, name, "has a backslash or a colon in its name, which Ollama refuses",
          remedy: "rename the file"))
    }
  }

  private mutating func set() {
    guard model.files.count > OllamaRules.maximumFiles else { return }
    findings.append(
      Finding(
        .ollamaSet, nil, "\(model.files.count) files, where at most \(OllamaRules.maximumFiles) are taken",
        remedy: "cut less finely, or merge the set with quern merge"))
  }
}

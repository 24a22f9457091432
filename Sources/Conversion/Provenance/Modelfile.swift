import Bytes
public import Tensors

/// A Modelfile, with which `ollama create` makes a model of a GGUF beside it.
///
/// Ollama's templates are Go's, a model's own is Jinja: what stands here is the plain form of a family that the model's template
/// shows to be of, turns of system, user and assistant. Tools, dates and the like are left out, and the file says so.
public struct Modelfile: Sendable {
  /// The GGUF's name without folders.
  private let name: String
  private let metadata: Metadata

  /// - Parameters:
  ///   - path: of the GGUF, a single file.
  ///   - metadata: its keys.
  public init(for path: String, _ metadata: Metadata) {
    (name, self.metadata) = (ProofFacts.name(path), metadata)
  }

  public var text: String {
    var lines = ["FROM ./\(name)"]
    if let form = ChatForm(metadata["tokenizer.chat_template"]?.string) {
      lines += [
        "", "# The plain form of the model's own template: turns without tools.",
        "TEMPLATE \"\"\"\(form.template)\"\"\"",
      ]
    }
    let parameters = stops.map { "PARAMETER stop \"\($0)\"" } + sampling
    if !parameters.isEmpty { lines += [""] + parameters }
    return lines.joined(separator: "\n") + "\n"
  }

  /// The texts of the tokens that end a text and a turn; one that cannot stand between quotes is left out.
  private var stops: [String] {
    guard let tokens = metadata["tokenizer.ggml.tokens"]?.strings else { return [] }
    var found: [String] = []
    for role in ["eos", "eot", "eom"] {
      guard let id = metadata["tokenizer.ggml.\(role)_token_id"]?.integer, tokens.indices.contains(id) else { continue }
      let text = tokens[id]
      let isPlain = text.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0 != "\"" && $0 != "\\" && $0.value != 0x7F }
      if isPlain, !text.isEmpty, !found.contains(where: { ExactString($0) == ExactString(text) }) { found.append(text) }
    }
    return found
  }

  /// What `generation_config.json` said, in Ollama's words.
  private var sampling: [String] {
    [
      ("temperature", "temp"), ("top_k", "top_k"), ("top_p", "top_p"), ("min_p", "min_p"),
      ("repeat_penalty", "penalty_repeat"), ("repeat_last_n", "penalty_last_n"),
    ].compactMap { name, key in
      let value = metadata["general.sampling.\(key)"]
      if case .float32(let number) = value { return "PARAMETER \(name) \(number)" }
      return value?.integer.map { "PARAMETER \(name) \($0)" }
    }
  }
}

/// A family of chat templates, told by the marks that it puts around turns.
enum ChatForm: CaseIterable {
  case chatML, llama3, llama2, mistral

  /// - Parameter template: a model's own, in Jinja; it is searched and never run.
  init?(_ template: String?) {
    guard let template, let form = ChatForm.allCases.first(where: { $0.marks.allSatisfy(template.contains) }) else {
      return nil
    }
    self = form
  }

  private var marks: [String] {
    switch self {
    case .chatML: ["<|im_start|>", "<|im_end|>"]
    case .llama3: ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    case .llama2: ["[INST]", "[/INST]", "<<SYS>>"]
    case .mistral: ["[INST]", "[/INST]"]
    }
  }

  /// In Go's language, over what Ollama gives a template.
  var template: String {
    switch self {
    case .chatML:
      "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"
    case .llama3:
      "{{ range .Messages }}<|start_header_id|>{{ .Role }}<|end_header_id|>\n\n{{ .Content }}<|eot_id|>{{ end }}"
        + "<|start_header_id|>assistant<|end_header_id|>\n\n"
    case .llama2:
      "[INST] {{ if .System }}<<SYS>>\n{{ .System }}\n<</SYS>>\n\n{{ end }}{{ .Prompt }} [/INST] {{ .Response }}</s><s>"
    case .mistral: "[INST] {{ if .System }}{{ .System }}\n\n{{ end }}{{ .Prompt }} [/INST] {{ .Response }}</s>"
    }
  }
}

import Bytes

/// The families that share a Llama's arithmetic. In GGUF all are the architecture `llama`; in a `config.json` each has its
/// own `model_type` and its own defaults for what is absent (transformers 5.23).
enum LlamaFamily: String, CaseIterable {
  /// Llama 1 to 3.3, Code Llama, TinyLlama, SmolLM2.
  case llama
  /// Mistral 7B and Mistral Nemo.
  case mistral
  /// Mixtral 8x7B and 8x22B.
  case mixtral

  /// Names in `architectures`, the first as transformers writes it today.
  var architectures: [String] {
    switch self {
    case .llama: ["LlamaForCausalLM", "LLaMAForCausalLM"]
    case .mistral: ["MistralForCausalLM"]
    case .mixtral: ["MixtralForCausalLM"]
    }
  }

  /// As many as there are heads where `nil`.
  var defaultKeyValueHeads: Int? { self == .llama ? nil : 8 }
  var defaultContext: Int { self == .llama ? 2048 : 131072 }
  var defaultEpsilon: Double { self == .mixtral ? 1e-5 : 1e-6 }
  var defaultTheta: Double { self == .mixtral ? 1_000_000 : 10000 }
  var defaultSlidingWindow: Int? { self == .mistral ? 4096 : nil }
  /// Whether `head_dim` is written to a GGUF when `config.json` does not state it: transformers fills it in, and
  /// convert_hf_to_gguf.py writes what transformers says.
  var statesHeadSize: Bool { self != .mixtral }

  /// - Throws: `UNSUPPORTED` naming the family and what to do, for all but these three; `MISSING`, `TYPE`.
  init(config: JSONValue) throws(InputError) {
    var stated: LlamaFamily?
    if let classes = try config.optional("architectures")?.elements("architectures") {
      for value in classes {
        let name = try value.string("architectures")
        guard let family = LlamaFamily.allCases.first(where: { $0.architectures.contains(name) }) else {
          throw ForeignFamily.refusal(architecture: name, key: "architectures", config)
        }
        stated = family
      }
    }
    let name = try config.required("model_type").string("model_type")
    guard let family = LlamaFamily(rawValue: name) else {
      throw ForeignFamily.refusal(architecture: name, key: "model_type", config)
    }
    if let stated, stated != family {
      throw InputError(
        .unsupported, "model_type is \"\(name)\", but the architecture is \(stated.architectures[0])",
        file: config.file, subject: "model_type", offset: config["model_type"]?.offset,
        remedy: "correct config.json: the two must name one family")
    }
    self = family
  }
}

/// Refusals of families that are not read, by name and with what to do instead.
public enum ForeignFamily {
  /// What every refusal lists.
  static let supported =
    "supported: Llama 1 to 3.3 and what is built alike (llama), Mistral (mistral), Mixtral (mixtral)"

  private enum Kind {
    case llama4, vision, text, headless

    /// By the names in `architectures`, `model_type` or `general.architecture`.
    init(_ name: String, hasImages: Bool) {
      let name = name.lowercased()
      if name.hasPrefix("llama4") {
        self = .llama4
      } else if hasImages || Kind.images.contains(where: name.hasPrefix) {
        self = .vision
      } else if LlamaFamily.allCases.contains(where: {
        name.hasPrefix($0.rawValue + "for") || name == $0.rawValue + "model"
      }) {
        self = .headless
      } else {
        self = .text
      }
    }

    private static let images = [
      "mllama", "llava", "pixtral", "mistral3for", "idefics", "smolvlm", "vllama3", "paligemma", "qwen2vl", "qwen2_vl",
      "qwen2_5_vl", "voxtral",
    ]
  }

  /// - Parameters:
  ///   - architecture: what stands under `key`.
  ///   - config: the whole `config.json`; a `vision_config` or `audio_config` in it tells a model of images or sound.
  static func refusal(architecture: String, key: String, _ config: JSONValue) -> InputError {
    let hasImages = ["vision_config", "audio_config"].contains { config.optional($0) != nil }
    return refusal(
      Kind(architecture, hasImages: hasImages), architecture, file: config.file, key, offset: config[key]?.offset,
      tool: "llama.cpp's convert_hf_to_gguf.py and llama-quantize")
  }

  /// For the `general.architecture` of a GGUF.
  static func refusal(architecture: String, file: String?) -> InputError {
    refusal(
      Kind(architecture, hasImages: false), architecture, file: file, "general.architecture", offset: nil,
      tool: "llama-quantize")
  }

  private static func refusal(
    _ kind: Kind, _ name: String, file: String?, _ key: String, offset: UInt64?, tool: String
  ) -> InputError {
    let (problem, remedy) =
      switch kind {
      case .llama4:
        (
          "\"\(name)\" is Llama 4, which is not read: its experts, attention and rotation are others",
          "use \(tool), or an earlier Llama"
        )
      case .vision:
        (
          "\"\(name)\" reads images or sound, of which nothing is read",
          "use \(tool), or the text model that it was made from, such as Llama 3.1 or Mistral"
        )
      case .headless:
        (
          "\"\(name)\" has no output for text",
          "use the checkpoint of the language model, whose class ends in ForCausalLM"
        )
      case .text: ("the family \"\(name)\" is not read", supported + "; for others use \(tool)")
      }
    return InputError(.unsupported, problem, file: file, subject: key, offset: offset, remedy: remedy)
  }

  /// Refuses a `config.json` of another family; to be asked before any weight is opened.
  public static func refuse(_ config: JSONValue) throws(InputError) { _ = try LlamaFamily(config: config) }
}

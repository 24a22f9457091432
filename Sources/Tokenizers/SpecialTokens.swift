import Bytes

/// The tokens with a part to play, in the order in which they are written, and what is put around a text.
public struct SpecialTokens: Hashable, Sendable {
  public enum Role: String, Sendable, CaseIterable {
    case bos, eos, unk, sep, pad, cls, mask, eot, eom, prefix, suffix, middle

    /// The metadata key, as ggml spells it.
    var key: String {
      switch self {
      case .unk: "tokenizer.ggml.unknown_token_id"
      case .sep: "tokenizer.ggml.seperator_token_id"
      case .pad: "tokenizer.ggml.padding_token_id"
      default: "tokenizer.ggml.\(rawValue)_token_id"
      }
    }

    /// The key that says whether the token is added, for those that can be.
    var addKey: String? {
      switch self {
      case .bos, .eos, .sep: "tokenizer.ggml.add_\(rawValue)_token"
      default: nil
      }
    }
  }

  struct Assignment: Hashable, Sendable {
    var role: Role
    var id: Int32
  }

  struct Addition: Hashable, Sendable {
    var role: Role
    var isAdded: Bool
  }

  var ids: [Assignment] = []
  var additions: [Addition] = []
  /// Ids before and after a text.
  public internal(set) var prefix: [Int32] = []
  public internal(set) var suffix: [Int32] = []

  public func id(of role: Role) -> Int32? { ids.first { $0.role == role }?.id }

  /// Whether the token is to be added, where it is stated.
  public func isAdded(_ role: Role) -> Bool? { additions.first { $0.role == role }?.isAdded }

  /// The first id given to a role stays.
  mutating func assign(_ role: Role, _ id: Int32) {
    if self.id(of: role) == nil { ids.append(Assignment(role: role, id: id)) }
  }

  mutating func setAdded(_ role: Role, _ isAdded: Bool) {
    if let index = additions.firstIndex(where: { $0.role == role }) {
      additions[index].isAdded = isAdded
    } else {
      additions.append(Addition(role: role, isAdded: isAdded))
    }
  }

  mutating func setAddedByDefault(_ role: Role, _ isAdded: Bool) {
    if self.isAdded(role) == nil { setAdded(role, isAdded) }
  }
}

extension SpecialTokens {
  /// Texts at which generation stops, wherever they stand in a vocabulary, and which llama.cpp 0c1e57098 therefore treats as
  /// control tokens even where a file calls them something else.
  private static let ends: Set<ExactString> = [
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<end_of_turn>",
    "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>",
    "<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>", "[e~[",
    "<\u{FF5C}end\u{2581}of\u{2581}sentence\u{FF5C}>",
  ]

  /// Texts that end a turn, or a message, of a conversation.
  static let turnEnds: [ExactString] = ["<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<EOT>"]
  static let messageEnds: [ExactString] = ["<|eom_id|>"]

  static func endsGeneration(_ text: String) -> Bool { ends.contains(ExactString(text)) }
}

/// A chat template: a program in Jinja, copied as it is and never run.
public struct ChatTemplate: Hashable, Sendable {
  public var name: String
  public var text: String

  public init(name: String = "default", text: String) {
    self.name = name
    self.text = text
  }
}

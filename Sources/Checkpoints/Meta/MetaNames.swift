import Bytes

/// The names in a checkpoint as Meta publishes it: `params.json`, `consolidated.00.pth` and up, `checklist.chk`.
enum MetaNames {
  static let parameters = "params.json"
  /// In repositories of Hugging Face, the folder with Meta's own files.
  static let folder = "original"
  /// Llama 3.1 405B was published in 16.
  static let maximumShards = 16

  /// 7 of `consolidated.07.pth`.
  static func number(of name: String) -> Int? {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 3, parts[0] == "consolidated", parts[2] == "pth", parts[1].utf8.count >= 2,
      parts[1].utf8.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") })
    else { return nil }
    return Int(parts[1])
  }

  static func shard(_ number: Int) -> String { "consolidated.\(number < 10 ? "0" : "")\(number).pth" }

  /// The shards in the order of their numbers, which must run from 0 without a hole; empty when there are none.
  static func shards(among names: [String], folder: String) throws(InputError) -> [String] {
    let found = names.compactMap { name in number(of: name).map { (number: $0, name: name) } }
      .sorted { $0.number < $1.number }
    guard found.count <= maximumShards else {
      throw InputError(
        .limit, "\(found.count) shards, at most \(maximumShards) are read", file: folder,
        remedy: "keep one model in the folder")
    }
    for (place, shard) in found.enumerated() where shard.number != place {
      throw missing(place, "others up to \(found[found.count - 1].name) are there", folder: folder)
    }
    return found.map(\.name)
  }

  static func missing(_ number: Int, _ why: String, folder: String) -> InputError {
    InputError(
      .missing, "\(shard(number)) is missing: \(why)", file: folder, remedy: "download the missing shard")
  }
}

/// How the parts of a tensor, one a shard, make the whole: Meta splits a matrix among the processes that compute with it
/// (fairscale's `ColumnParallelLinear`, `RowParallelLinear` and embeddings; meta-llama/llama-models, llama3/model.py).
enum MetaJoin {
  /// One below the other.
  case rows
  /// The same, except that processes beyond the number of key-value heads have copies: Llama 3.1 405B in 16 shards has
  /// every head twice.
  case keyValueRows
  /// Side by side.
  case columns
  /// Rows since Llama 3, columns before; which of them, the shapes tell.
  case rowsOrColumns
  /// Every shard has all of it.
  case replicated
  /// No weight: rotary frequencies, which Llama 1 and 2 saved.
  case computed

  /// - Throws: `UNSUPPORTED` for tensors of vision models and mixtures of experts, `NAME` for what no Llama of Meta's has.
  init(of name: String) throws(InputError) {
    var parts = name.split(separator: ".", omittingEmptySubsequences: false)[...]
    if parts.count > 2, parts.first == "layers" { parts = parts.dropFirst(2) }
    switch parts.joined(separator: ".") {
    case "attention.wq.weight", "feed_forward.w1.weight", "feed_forward.w3.weight", "output.weight": self = .rows
    case "attention.wk.weight", "attention.wv.weight": self = .keyValueRows
    case "attention.wo.weight", "feed_forward.w2.weight": self = .columns
    case "tok_embeddings.weight": self = .rowsOrColumns
    case "norm.weight", "attention_norm.weight", "ffn_norm.weight": self = .replicated
    case "rope.freqs", "attention.inner_attention.rope.freqs": self = .computed
    default: throw MetaJoin.refusal(of: name)
    }
  }

  private static func refusal(of name: String) -> InputError {
    let kinds = [
      ("vision_model.", "a vision model"), ("text_model.", "the text part of a vision model"),
      ("vision_embeddings.", "a vision model"), (".experts.", "a mixture of experts"),
      (".gate.", "a mixture of experts"),
      (".lora_", "an adapter"), (".scales", "quantized weights"),
    ]
    if let (_, kind) = kinds.first(where: { name.contains($0.0) }) {
      return InputError(
        .unsupported, "a tensor of \(kind), which is not supported in Meta's form", subject: name,
        remedy: "use a text model, or the model's Hugging Face form")
    }
    return InputError(
      .name, "no Llama in Meta's form has such a tensor", subject: name,
      remedy: "if this is a model of another family, use its Hugging Face form")
  }
}

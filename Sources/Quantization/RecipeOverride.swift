public import Tensors

/// A type for the tensors whose name contains a match of a regular expression (`--tensor-type REGEX=TYPE`).
public struct RecipeOverride: Sendable, Hashable {
  /// In lower case, as llama-quantize has it.
  public let pattern: String
  public let type: DType

  /// - Throws: `RecipeError.Kind.pattern` for an invalid, empty or overlong expression; `.type` for a type that no weight
  ///   can be stored in.
  public init(pattern: String, type: DType) throws(RecipeError) {
    guard WeightTypes.all.contains(type) else { throw WeightTypes.unknown(type.name) }
    self.pattern = String(decoding: pattern.utf8.map { (65...90).contains($0) ? $0 | 32 : $0 }, as: UTF8.self)
    self.type = type
    _ = try expression()
  }

  /// From `regex=type`; the type is what follows the last `=`.
  public init(parsing text: String) throws(RecipeError) {
    guard let equals = text.lastIndex(of: "=") else {
      throw RecipeError(.pattern, text, "not of the form REGEX=TYPE", remedy: "write for example attn_v=Q6_K")
    }
    try self.init(
      pattern: String(text[..<equals]), type: WeightTypes.type(named: String(text[text.index(after: equals)...])))
  }

  /// The compiled expression.
  func expression() throws(RecipeError) -> NamePattern {
    guard !pattern.isEmpty else { throw RecipeError(.pattern, pattern, "an empty expression matches every tensor") }
    do { return try NamePattern(pattern) } catch { throw RecipeError(.pattern, pattern, error.problem) }
  }
}

/// The types that a weight of a GGUF file can be given.
enum WeightTypes {
  static let all: [DType] = [.f32, .f16, .bf16] + DType.allCases.filter { $0.isBlock && $0 != .q8_1 && $0 != .q8_K }

  static func type(named name: String) throws(RecipeError) -> DType {
    guard let type = DType(name: name), all.contains(type) else { throw unknown(name) }
    return type
  }

  static func unknown(_ name: String) -> RecipeError {
    RecipeError(.type, name, "no such tensor type", remedy: "known are " + all.map(\.name).joined(separator: " "))
  }
}

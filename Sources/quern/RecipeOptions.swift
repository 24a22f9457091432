import ArgumentParser
import Conversion
import Quantization

/// Flags that choose the type of every tensor, in llama-quantize's words.
struct RecipeOptions: ParsableArguments {
  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "What to quantize to, such as Q4_K_M; several with commas between them. (default: the input's own type)",
      valueName: "type"))
  var type: String?

  @Option(
    name: .customLong("tensor-type"),
    help: ArgumentHelp(
      "Give the tensors whose name the expression matches another type; the first match wins. Repeatable.",
      valueName: "regex=type"))
  var tensorTypes: [String] = []

  @Option(help: ArgumentHelp("The type of the output tensor.", valueName: "type"))
  var outputTensorType: String?

  @Option(help: ArgumentHelp("The type of the token embeddings.", valueName: "type"))
  var tokenEmbeddingType: String?

  @Flag(help: "One type for every matrix: no better types for the tensors that need them.")
  var pure = false

  @Flag(help: "Leave output.weight in the type that it has.")
  var leaveOutputTensor = false

  @Option(
    help: ArgumentHelp(
      "Give every tensor the type that this file of --save-recipe says, instead of all the flags above.",
      valueName: "file"))
  var recipe: String?

  func validate() throws {
    guard recipe != nil else { return }
    if type != nil || !tensorTypes.isEmpty || outputTensorType != nil || tokenEmbeddingType != nil || pure
      || leaveOutputTensor
    {
      throw ValidationError("--recipe chooses every type: leave the other flags that do out.")
    }
  }

  /// As `--type` lists them; none if it was not given.
  var types: [String] { type?.split(separator: ",", omittingEmptySubsequences: false).map(String.init) ?? [] }

  /// One for each type.
  func recipes(for input: ModelInput) throws -> [Recipe] {
    if let recipe { return [try Recipe(reading: recipe)] }
    return try (type == nil ? [FileType.native(of: input.model.tensors).name] : types).map { type in
      try Recipe(
        fileType: type, isPure: pure, outputTensorType: outputTensorType, tokenEmbeddingType: tokenEmbeddingType,
        leavesOutputTensor: leaveOutputTensor, overrides: tensorTypes)
    }
  }

  static var typeTable: String {
    Recipe.fileTypes.map { "  \($0.name)\(String(repeating: " ", count: max(1, 9 - $0.name.count)))\($0.summary)" }
      .joined(separator: "\n")
  }
}

import Bytes
import GGUF
import Quantization

/// `recipe MODEL.gguf TYPE [imatrix] [pure] [leave-output] [output=T] [embedding=T] [override=REGEX=T …]`: the type that
/// each tensor gets and why, a line each, whether or not it can be written; at last whether it needs an importance matrix.
func recipe(_ arguments: [String]) throws {
  guard arguments.count >= 2 else { throw InputError(.missing, "recipe needs a model and a type") }
  let words = arguments.dropFirst(2)
  func values(_ key: String) -> [String] {
    words.filter { $0.hasPrefix(key + "=") }.map { String($0.dropFirst(key.count + 1)) }
  }
  let recipe = try Recipe(
    fileType: arguments[1], isPure: words.contains("pure"), outputTensorType: values("output").first,
    tokenEmbeddingType: values("embedding").first, leavesOutputTensor: words.contains("leave-output"),
    overrides: values("override"))
  let model = try GGUFModel(opening: arguments[0])
  let architecture = model.metadata["general.architecture"]?.string ?? ""
  func integer(_ key: String) -> Int { model.metadata["\(architecture).\(key)"]?.integer ?? 0 }
  let facts = RecipeFacts(
    architecture: architecture, layerCount: integer("block_count"), headCount: integer("attention.head_count"),
    keyValueHeadCount: integer("attention.head_count_kv"), expertCount: integer("expert_count"),
    hasImatrix: words.contains("imatrix"))
  for (tensor, decision) in zip(model.tensors, try recipe.choose(model.tensors, facts: facts)) {
    print("\(tensor.name)\t\(decision.type)\t\(decision.note ?? "")")
  }
  do { _ = try recipe.decide(model.tensors, facts: facts) { _ in false } } catch {
    if error.kind == .importance { print("importance\tneeded") }
  }
}

import Bytes
import Conversion
import Quantization
import TestSupport
import Testing

@Suite struct RecipeFileTests {
  private static func plan(_ recipe: Recipe) throws -> ConversionPlan {
    try ConversionPlan(ModelInput(opening: Fixtures.path("tiny-llama")), recipe: recipe)
  }

  /// Whatever flags made it.
  @Test(arguments: [
    try? Recipe(fileType: "Q4_K_M"), try? Recipe(fileType: "F16"), try? Recipe(fileType: "Q6_K", isPure: true),
    try? Recipe(fileType: "Q3_K_L", outputTensorType: "Q8_0", overrides: ["attn_v=F16", "blk.[0-2].ffn=Q5_K"]),
    try? Recipe(fileType: "Q4_0", leavesOutputTensor: true),
  ]) func aSavedRecipeMakesTheSamePlan(_ recipe: Recipe?) throws {
    let recipe = try #require(recipe)
    let plan = try RecipeFileTests.plan(recipe)
    let folder = try TemporaryFolder()
    let path = try folder.write("recipe.yaml", plan.recipeText(recipe.fileType))
    let again = try RecipeFileTests.plan(Recipe(reading: path))
    #expect(again.entries.map(\.type) == plan.entries.map(\.type))
    #expect(again.entries.map(\.offset) == plan.entries.map(\.offset))
    #expect(again.fileBytes == plan.fileBytes && again.metadata == plan.metadata)
  }

  @Test func whatIsNotListedIsDecidedByTheType() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("r.yaml", "tensors:\n  blk.3.attn_q.weight: q8_0\ntype: q4_k_m\n")
    let plan = try RecipeFileTests.plan(Recipe(reading: path))
    let plain = try RecipeFileTests.plan(Recipe(.q4_K_M))
    for (a, b) in zip(plan.entries, plain.entries) {
      #expect(a.type == (a.source.name == "blk.3.attn_q.weight" ? .q8_0 : b.type))
    }
  }

  @Test(arguments: [
    ("", InputError.Code.yaml), ("- a\n", .yaml), ("type: Q4_K_M\ntype: Q5_K_M\n", .yaml),
    ("tensors: {}\n", .missing),
    ("type: Q9\n", .type), ("type: [Q4_0]\n", .type), ("type: Q4_0\nrecipe: 1\n", .name),
    ("type: Q4_0\ntensors: [a]\n", .yaml), ("type: Q4_0\ntensors: {output.weight: Q4}\n", .type),
    ("type: Q4_0\ntensors: {output.weight: Q4_0, output.weight: Q4_1}\n", .yaml), ("type: {\n", .yaml),
    ("type: Q4_0\ntensors: {output.weight: {a: b}}\n", .type), ("type: \u{0}\n", .yaml),
  ]) func anotherFileIsRefused(_ text: String, _ code: InputError.Code) throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("recipe.yaml", text)
    let error = #expect(throws: InputError.self) { try Recipe(reading: path) }
    #expect(error?.code == code, "\(text): \(error.map(String.init(describing:)) ?? "nothing")")
    #expect(error?.file == path)
  }

  /// A tensor that the model has not, a norm, blocks that do not fill a row, what needs importance.
  @Test(arguments: [
    ("blk.99.attn_q.weight: Q4_K", RecipeError.Kind.name), ("output_norm.weight: Q8_0", .override),
    ("blk.0.attn_q.weight: IQ2_XXS", .importance),
  ]) func aRecipeThatDoesNotFitIsRefused(_ line: String, _ kind: RecipeError.Kind) throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("recipe.yaml", "type: Q4_K_M\ntensors:\n  \(line)\n")
    let error = #expect(throws: RecipeError.self) { try RecipeFileTests.plan(Recipe(reading: path)) }
    #expect(error?.kind == kind)
  }

  @Test func theSummaryCountsEveryType() throws {
    let summary = try RecipeFileTests.plan(Recipe(.q4_K_M)).typeSummary
    #expect(summary.hasPrefix("Q4_K ") && summary.contains(", Q6_K "))
  }
}

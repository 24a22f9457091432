import Quantization
import Tensors
import Testing

@Suite struct RecipeErrorTests {
  private let facts = RecipeFacts(layerCount: 2, headCount: 8, keyValueHeadCount: 4)

  private func failure(_ body: () throws -> Void) -> RecipeError? {
    do { try body() } catch { return error as? RecipeError }
    return nil
  }

  @Test(arguments: ["Q9_K", "", "q4-k-m", "Q4_K_M ", "F64", "Q8_K", "Ｑ4_0"])
  func anUnknownFileTypeIsNamedBesideTheKnown(name: String) {
    let error = failure { _ = try Recipe(fileType: name) }
    #expect(error?.kind == .type)
    #expect(error?.word == name)
    #expect(error?.description.contains("Q4_K_M") == true)
    #expect(error?.description.contains("MXFP4_MOE") == true)
  }

  @Test(arguments: ["Q4_K_M", "Q8_K", "Q8_1", "F64", "I32", "F8_E4M3", ""])
  func aTensorTypeMustBeOneThatAWeightCanHave(name: String) {
    for error in [
      failure { _ = try Recipe(fileType: "Q8_0", outputTensorType: name) },
      failure { _ = try Recipe(fileType: "Q8_0", tokenEmbeddingType: name) },
      failure { _ = try Recipe(fileType: "Q8_0", overrides: ["attn_v=" + name]) },
    ] {
      #expect(error?.kind == .type)
      #expect(error?.description.contains("Q6_K") == true)
    }
  }

  @Test(arguments: [
    "attn_v", "=Q8_0", "attn_(v=Q8_0", "attn_v)=Q8_0", "[a=Q8_0", "*=Q8_0", "a{2,1}=Q8_0", "\\=Q8_0",
    String(repeating: "(", count: 100_000) + "=Q8_0", String(repeating: "(", count: 250) + "=Q8_0",
    String(repeating: "a", count: 501) + "=Q8_0",
  ])
  func anInvalidPatternIsRefused(text: String) {
    #expect(failure { _ = try Recipe(fileType: "Q8_0", overrides: [text]) }?.kind == .pattern)
  }

  @Test func deepPatternsWithinTheLimitAreRead() throws {
    let depth = 240
    let pattern = String(repeating: "(", count: depth) + "attn_v" + String(repeating: ")", count: depth)
    let recipe = try Recipe(fileType: "Q8_0", overrides: [pattern + "=Q6_K"])
    let decisions = try recipe.decide(ModelShape().tensors(), facts: facts) { _ in false }
    #expect(decisions.contains { $0.type == .q6_K })
  }

  @Test(arguments: ["attn_w=Q8_0", "^attn_v=Q8_0", "blk\\.2\\.=Q8_0", "norm=Q8_0", "token_embd|^output=Q8_0"])
  func anOverrideThatDecidesNothingIsAnError(text: String) throws {
    let recipe = try Recipe(
      fileType: "Q4_K_M", outputTensorType: "Q6_K", tokenEmbeddingType: "Q6_K", overrides: [text])
    let error = failure { _ = try recipe.decide(ModelShape().tensors(), facts: facts) { _ in false } }
    #expect(error?.kind == .override)
    #expect(error?.word == String(text.dropLast(5)))
  }

  @Test(arguments: [FileType.iq1_S, .iq1_M, .iq2_XXS, .iq2_XS, .iq2_S, .iq2_M, .iq3_XXS, .iq3_XS, .q2_K_S])
  func theSmallestTypesDemandAnImportanceMatrix(fileType: FileType) throws {
    let tensors = ModelShape().tensors()
    let error = failure { _ = try Recipe(fileType).decide(tensors, facts: facts) { _ in false } }
    #expect(error?.kind == .importance)
    #expect(error?.description.contains("importance") == true)
    // With one, the only thing that can be missing is the quantizer.
    let other = failure { _ = try Recipe(fileType).decide(tensors, facts: facts) { _ in true } }
    #expect(other == nil || other?.kind == .unsupported)
  }

  @Test func aTensorThatTheImportanceMatrixLacksIsNamed() {
    let error = failure {
      _ = try Recipe(.q2_K_S).decide(ModelShape().tensors(), facts: facts) { $0 != "blk.1.ffn_up.weight" }
    }
    #expect(error?.word == "blk.1.ffn_up.weight")
  }

  @Test func theOutputAndTheEmbeddingNeedNone() throws {
    let recipe = try Recipe(fileType: "Q2_K_S", outputTensorType: "Q2_K")
    let decisions = try recipe.decide(ModelShape().tensors(), facts: facts) { $0.hasPrefix("blk.") }
    #expect(decisions[0].type == .q2_K && decisions[2].type == .q2_K)
  }

  @Test(arguments: [DType.iq1_S, .iq2_XXS, .iq2_XS])
  func whatCannotBeSearchedWithoutImportanceIsRefusedForThemToo(type: DType) {
    for recipe in [Recipe(.q8_0, outputTensorType: type), Recipe(.q8_0, tokenEmbeddingType: type)] {
      let error = failure { _ = try recipe.decide(ModelShape().tensors(), facts: facts) { $0.hasPrefix("blk.") } }
      #expect(error?.kind == .importance)
    }
  }

  @Test func aTypeWithoutAQuantizerIsNamed() {
    for type in [FileType.iq4_XS, .tq1_0, .q1_0, .mxfp4_MoE] where !BlockQuantizer.supports(type.base) {
      let error = failure {
        _ = try Recipe(type, isPure: true).decide(ModelShape().tensors(), facts: facts) { _ in true }
      }
      #expect(error?.kind == .unsupported)
      #expect(error?.problem.contains(type.base.name) == true)
    }
  }

  @Test func aFlagThatDoesNotFitTheRowsIsNotReplacedInSilence() {
    let error = failure {
      _ = try Recipe(.q8_0, tokenEmbeddingType: .q4_K).decide(
        ModelShape(embedding: 576).tensors(), facts: facts
      ) { _ in false }
    }
    #expect(error?.kind == .rows)
    #expect(error?.description.contains("ask for Q5_0") == true)
  }

  @Test(arguments: [FileType.q1_0])
  func aTypeWithoutSmallerRelativesIsAnErrorOnOddRows(fileType: FileType) {
    let error = failure { _ = try Recipe(fileType).choose(ModelShape(embedding: 576).tensors(), facts: facts) }
    #expect(error?.kind == .rows)
  }

  @Test(arguments: [
    "ffn_down.weight", "blk.2.ffn_down.weight", "blk.x.ffn_up.weight", "blk.99999999999999999999.ffn_up.weight",
  ])
  func anExpertOutsideTheModelsLayersIsAnError(name: String) {
    var facts = facts
    facts.expertCount = 8
    let tensors = ModelShape(experts: 8).tensors() + [makeTensor(name, [8, 512, 512])]
    #expect(failure { _ = try Recipe(.q4_K_M).choose(tensors, facts: facts) }?.kind == .name)
  }

  @Test func messagesAreOneLine() {
    let error = failure { _ = try Recipe(fileType: "Q4\nK") }
    #expect(error?.description.contains { $0.isNewline } == false)
  }

  @Test func factsOfZeroTrapNowhere() throws {
    let facts = RecipeFacts(layerCount: 0, headCount: 0, keyValueHeadCount: 0)
    for fileType in Recipe.fileTypes where fileType != .q1_0 {
      #expect(try Recipe(fileType).choose(ModelShape().tensors(), facts: facts).count == ModelShape().tensors().count)
    }
  }
}

import Quantization
import Tensors
import Testing

@Suite struct RecipeTests {
  private let facts = RecipeFacts(layerCount: 2, headCount: 8, keyValueHeadCount: 4)

  private func types(
    _ recipe: Recipe, _ shape: ModelShape, _ facts: RecipeFacts? = nil
  ) throws -> [String: Decision] {
    let tensors = shape.tensors()
    let decisions = try recipe.decide(tensors, facts: facts ?? self.facts) { _ in false }
    return Dictionary(uniqueKeysWithValues: zip(tensors.map(\.name), decisions))
  }

  @Test func snapshotsAreAllThere() {
    #expect(RecipeSnapshot.all.map(\.types.count) == [33, 33, 33, 33])
  }

  @Test(arguments: RecipeSnapshot.all)
  func decidesAsLlamaCppsGoldenFiles(snapshot: RecipeSnapshot) throws {
    for (fileType, expected) in snapshot.types {
      let decisions = try Recipe(fileType).choose(snapshot.tensors, facts: snapshot.facts)
      let differing = zip(snapshot.tensors, decisions).filter { $1.type != expected[$0.name] }
      #expect(differing.isEmpty, "\(fileType): \(differing.map { "\($0.name) \($1.type)" })")
    }
  }

  @Test(arguments: [FileType.q4_K_M, .q3_K_M, .iq2_M, .q4_K_S])
  func theOrderGivenDoesNotMatter(fileType: FileType) throws {
    let snapshot = RecipeSnapshot.all[1]
    let forward = try Recipe(fileType).choose(snapshot.tensors, facts: snapshot.facts)
    let backward = try Recipe(fileType).choose(snapshot.tensors.reversed(), facts: snapshot.facts)
    #expect(forward == backward.reversed())
    #expect(Set(forward.map(\.type)).count > 2)
  }

  @Test func tensorsComeByBlockNumberAndThenByName() {
    let names = ["blk.10.a", "blk.2.b", "token_embd.weight", "blk.2.a", "output.weight", "blk.0.z"]
    #expect(TensorOrder.indices(of: names) == [4, 2, 5, 3, 1, 0])
  }

  @Test func fallsBackToSmallerBlocksWhereRowsDoNotFillThem() throws {
    let found = try types(Recipe(.q4_K_M), ModelShape(embedding: 576, feedForward: 1536, isTied: true))
    #expect(found["token_embd.weight"]?.type == .q8_0)
    #expect(found["blk.0.attn_q.weight"]?.type == .q5_0)
    #expect(found["blk.0.attn_q.weight"]?.note == "rows of 576 do not fill Q4_K blocks of 256")
    #expect(found["blk.0.ffn_down.weight"]?.type == .q4_K)
    #expect(found["blk.0.ffn_down.weight"]?.note == nil)
    #expect(found["blk.1.attn_v.weight"]?.type == .q8_0)
    let odd = try types(Recipe(.q4_K_M), ModelShape(embedding: 100, feedForward: 300))
    #expect(odd["blk.0.attn_q.weight"]?.type == .f16)
  }

  @Test func flagsComeBeforeOverridesAndTheseBeforePureAndRules() throws {
    let recipe = try Recipe(
      fileType: "q4_k", isPure: true, outputTensorType: "Q8_0", tokenEmbeddingType: "f16",
      overrides: ["blk\\.0\\..*ATTN=q6_k", "attn_[qk]=Q5_K", "output|token|attn_k|ffn_up=q3_k"])
    let found = try types(recipe, ModelShape())
    #expect(found["output.weight"] == Decision(type: .q8_0, note: "output type as asked", isAsked: true))
    #expect(found["token_embd.weight"] == Decision(type: .f16, note: "token embedding type as asked", isAsked: true))
    #expect(found["blk.0.attn_k.weight"] == Decision(type: .q6_K, note: "override blk\\.0\\..*attn", isAsked: true))
    #expect(found["blk.1.attn_k.weight"]?.type == .q5_K)
    #expect(found["blk.1.attn_v.weight"] == Decision(type: .q4_K))
  }

  @Test func anOverriddenTensorIsNotCounted() throws {
    // Q4_K_S raises the first four attn_v.
    let recipe = try Recipe(fileType: "Q4_K_S", overrides: ["blk\\.[01]\\.attn_v=Q8_0"])
    let found = try types(recipe, ModelShape(layers: 8), RecipeFacts(layerCount: 8, headCount: 8, keyValueHeadCount: 4))
    let values = (0..<8).map { found["blk.\($0).attn_v.weight"]?.type }
    #expect(values == [.q8_0, .q8_0, .q5_K, .q5_K, .q5_K, .q5_K, .q4_K, .q4_K])
  }

  @Test func aTiedEmbeddingIsTheOutput() throws {
    let recipe = Recipe(.q4_K_M, outputTensorType: .q5_1)
    #expect(try types(recipe, ModelShape(isTied: true))["token_embd.weight"]?.type == .q5_1)
    #expect(try types(recipe, ModelShape())["token_embd.weight"]?.type == .q4_K)
    #expect(try types(Recipe(.q4_K_M), ModelShape(isTied: true))["token_embd.weight"]?.type == .q6_K)
  }

  @Test(arguments: [FileType.f32, .f16, .bf16])
  func plainTypesHoldForEveryMatrix(fileType: FileType) throws {
    let found = try types(Recipe(fileType), ModelShape(embedding: 100))
    #expect(found.filter { $0.key.contains("norm") }.allSatisfy { $0.value.type == .f32 })
    #expect(found.filter { !$0.key.contains("norm") }.allSatisfy { $0.value.type == fileType.base })
    let overridden = try types(Recipe(fileType: fileType.name, overrides: ["attn_q=Q8_0"]), ModelShape())
    #expect(overridden["blk.0.attn_q.weight"]?.type == .q8_0)
  }

  @Test(arguments: [DType.f16, .bf16, .f32])
  func normsBiasesAndExpertGatesAreKeptInFull(dtype: DType) throws {
    let tensors = [
      makeTensor("blk.0.attn_norm.weight", [512], dtype), makeTensor("blk.0.attn_q.bias", [512], dtype),
      makeTensor("blk.0.ffn_gate_inp.weight", [8, 512], dtype), makeTensor("blk.0.attn_q_norm.weight", [4, 32], dtype),
      makeTensor("blk.0.attn_q.weight", [1, 1, 512], dtype),
    ]
    let decisions = try Recipe(.q8_0).decide(tensors, facts: facts) { _ in false }
    #expect(decisions.allSatisfy { $0.type == .f32 && $0.note != nil })
  }

  @Test func theOutputCanBeLeftAsItIsStored() throws {
    let recipe = Recipe(.q4_K_M, leavesOutputTensor: true)
    #expect(try types(recipe, ModelShape(dtype: .bf16))["output.weight"]?.type == .bf16)
    #expect(try types(recipe, ModelShape(isTied: true))["token_embd.weight"]?.type == .q6_K)
  }

  @Test func expertsAreMicroscaledAndTheRestIsNot() throws {
    let decisions = try Recipe(.mxfp4_MoE).choose(
      ModelShape(experts: 8).tensors(),
      facts: RecipeFacts(layerCount: 2, headCount: 8, keyValueHeadCount: 4, expertCount: 8))
    for (tensor, decision) in zip(ModelShape(experts: 8).tensors(), decisions) where tensor.dtype != .f32 {
      #expect(decision.type == (tensor.name.contains("_exps") ? .mxfp4 : .q8_0), "\(tensor.name)")
    }
  }
}

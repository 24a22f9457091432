import Bytes
public import Tensors

extension Recipe {
  /// The type of every tensor, as llama-quantize decides it (llama.cpp 0c1e57098); decided, and proved feasible, before any
  /// work.
  ///
  /// Three things differ. Overrides also hold for the file types F32, F16 and BF16, where llama-quantize drops them without
  /// a word. A type asked for by flag is held against the rows before, not while, quantizing. Norms, biases and expert
  /// gates stored in 16 bits become F32, which convert_hf_to_gguf.py does a step earlier.
  ///
  /// - Parameters:
  ///   - tensors: all of a model, under their GGUF names, in any order.
  ///   - hasImportance: whether the importance matrix has an entry for the tensor of that name.
  /// - Returns: one decision a tensor, in the order given.
  /// - Throws: `RecipeError`: `override` for one that decides no tensor; `rows` for a type that was asked for by flag, or
  ///   has no smaller relative, and does not fill a tensor's rows; `importance` for a tensor that needs an importance
  ///   matrix and has none; `unsupported` for a type that no quantizer writes yet.
  public func decide(
    _ tensors: [Tensor], facts: RecipeFacts, hasImportance: (String) -> Bool
  ) throws(RecipeError) -> [Decision] {
    let decisions = try choose(tensors, facts: facts)
    let changed = zip(tensors, decisions).filter { $0.dtype != $1.type }
    for (tensor, decision) in changed where needsImportance(decision.type, tensor.name) && !hasImportance(tensor.name) {
      throw RecipeError(
        .importance, tensor.name, "\(decision.type) is useless without an importance matrix, and there is none for it",
        remedy: "make one with llama-imatrix and give it with --imatrix, or choose a larger type")
    }
    for (tensor, decision) in changed where !BlockQuantizer.supports(decision.type) {
      throw RecipeError(
        .unsupported, tensor.name, "\(decision.type) cannot be written yet", remedy: "choose another type")
    }
    return decisions
  }

  /// `decide` without the question whether it can be carried out.
  package func choose(_ tensors: [Tensor], facts: RecipeFacts) throws(RecipeError) -> [Decision] {
    var chooser = try Chooser(recipe: self, facts: facts, names: tensors.map(\.name))
    var decisions = [Decision](repeating: Decision(type: .f32), count: tensors.count)
    for index in TensorOrder.indices(of: tensors.map(\.name)) { decisions[index] = try chooser.decide(tensors[index]) }
    try chooser.checkOverrides()
    let strangers = Set(types.keys).subtracting(tensors.map { ExactString($0.name) })
    if let stranger = strangers.min() {
      throw RecipeError(
        .name, stranger.string, "the recipe gives it a type, but the model has no such tensor",
        remedy: "use the recipe of a model of this architecture and size")
    }
    return decisions
  }

  private func needsImportance(_ type: DType, _ name: String) -> Bool {
    // Where ggml stops without, whatever the tensor.
    if BlockQuantizer.requiresImportance(type) { return true }
    switch RecipeRules.Role(name) {
    case .output, .tokenEmbedding: return false
    default: break
    }
    return switch type {
    case .iq1_S, .iq1_M, .iq2_XXS, .iq2_XS, .iq2_S, .iq3_XXS: true
    case .q2_K: fileType == .q2_K_S
    default: false
    }
  }
}

/// Decides tensor after tensor: kept, flag, override, pure, rule, and at last whether the rows fill blocks.
private struct Chooser {
  let recipe: Recipe
  var rules: RecipeRules
  let expressions: [NamePattern]
  /// Of each override, whether it matched a name, and whether it decided a tensor.
  var uses: [(matched: Bool, decided: Bool)]

  init(recipe: Recipe, facts: RecipeFacts, names: [String]) throws(RecipeError) {
    self.recipe = recipe
    rules = RecipeRules(recipe: recipe, facts: facts, names: names)
    var expressions: [NamePattern] = []
    for override in recipe.overrides { expressions.append(try override.expression()) }
    self.expressions = expressions
    uses = Array(repeating: (false, false), count: expressions.count)
  }

  mutating func decide(_ tensor: Tensor) throws(RecipeError) -> Decision {
    let matching = expressions.indices.filter { expressions[$0].matches(tensor.name) }
    for index in matching { uses[index].matched = true }
    let exact = recipe.types[ExactString(tensor.name)]
    if let kept = KeptTensors.decision(tensor, recipe) {
      guard exact == nil || exact == kept.type else {
        throw RecipeError(
          .override, tensor.name, "the recipe gives it \(exact!), but it stays \(kept.type)",
          remedy: "use the recipe of a model of this architecture and size")
      }
      return kept
    }
    if let exact { return try asked(exact, tensor, nil) }

    switch RecipeRules.Role(tensor.name) {
    case .tokenEmbedding:
      if let type = recipe.tokenEmbeddingType { return try asked(type, tensor, "token embedding type as asked") }
    case .output:
      if let type = recipe.outputTensorType { return try asked(type, tensor, "output type as asked") }
    default: break
    }

    let type: DType
    var note: String?
    let isAsked = !matching.isEmpty
    if let index = matching.first {
      uses[index].decided = true
      type = recipe.overrides[index].type
      note = "override \(recipe.overrides[index].pattern)"
    } else if recipe.isPure || !recipe.fileType.base.isBlock {
      type = recipe.fileType.base
    } else {
      type = try rules.type(for: tensor)
    }
    if let smaller = try RowFallback.type(insteadOf: type, tensor) {
      let rows = "rows of \(tensor.columns) do not fill \(type) blocks of \(type.blockElements)"
      return Decision(
        type: smaller, note: [note, rows].compactMap { $0 }.joined(separator: "; "), isAsked: isAsked)
    }
    return Decision(type: type, note: note, isAsked: isAsked)
  }

  /// What a flag demands is not replaced in silence.
  private func asked(_ type: DType, _ tensor: Tensor, _ note: String?) throws(RecipeError) -> Decision {
    if let fitting = try RowFallback.type(insteadOf: type, tensor) {
      throw RecipeError(
        .rows, tensor.name,
        "rows of \(tensor.columns) do not fill the \(type) blocks of \(type.blockElements) asked for",
        remedy: "ask for \(fitting)")
    }
    return Decision(type: type, note: note, isAsked: true)
  }

  func checkOverrides() throws(RecipeError) {
    for (override, use) in zip(recipe.overrides, uses) where !use.decided {
      throw RecipeError(
        .override, override.pattern,
        use.matched
          ? "the override decides no tensor: those it matches keep their type or are decided before it"
          : "the override matches no tensor",
        remedy: "names are those of the GGUF file, such as blk.0.attn_v.weight")
    }
  }
}

/// Tensors that are never quantized.
private enum KeptTensors {
  static func decision(_ tensor: Tensor, _ recipe: Recipe) -> Decision? {
    let name = tensor.name
    // Dimensions of one at the front do not count: what is left of them is a vector.
    if tensor.shape.dimensions.drop(while: { $0 == 1 }).count < 2 { return full(tensor, "a vector") }
    if !name.hasSuffix("weight") { return stored(tensor, "no weight") }
    if name.hasBytes("_norm.weight") { return full(tensor, "a norm") }
    if name.hasBytes("ffn_gate_inp.weight") { return full(tensor, "chooses experts") }
    if recipe.leavesOutputTensor && name == "output.weight" { return stored(tensor, "left as asked") }
    if name == "position_embd.weight" || name == "token_types.weight" || small.contains(where: name.hasBytes) {
      return stored(tensor, "small")
    }
    return nil
  }

  /// Small or delicate tensors of other families.
  private static let small = [
    "ffn_gate_tid2eid.weight", "altup", "laurel", "per_layer_model_proj", "ssm_conv1d", "shortconv.conv.weight",
    "indexer.k_proj.weight", "indexer.q_proj.weight", "time_mix_first.weight", "time_mix_w0.weight",
    "time_mix_w1.weight", "time_mix_w2.weight", "time_mix_v0.weight", "time_mix_v1.weight", "time_mix_v2.weight",
    "time_mix_a0.weight", "time_mix_a1.weight", "time_mix_a2.weight", "time_mix_g1.weight", "time_mix_g2.weight",
    "time_mix_decay_w1.weight", "time_mix_decay_w2.weight", "time_mix_lerp_fused.weight", "attn_rel_b.weight",
    ".position_embd", "sam.pos_embd", "sam.neck.", "sam.net_", ".rel_pos", ".patch_embd", ".patch_merger",
    "a.rvq.codebook", "mm.a.code_embd",
  ]

  /// F32 in place of 16 bits.
  private static func full(_ tensor: Tensor, _ why: String) -> Decision {
    tensor.dtype == .f16 || tensor.dtype == .bf16
      ? Decision(type: .f32, note: "kept in full: \(why)") : stored(tensor, why)
  }

  /// As it is, unless GGUF has no such number.
  private static func stored(_ tensor: Tensor, _ why: String) -> Decision {
    let type = tensor.dtype.ggmlID == nil && tensor.dtype.isFloatingPoint ? .f32 : tensor.dtype
    return Decision(type: type, note: "kept: \(why)")
  }
}

/// The relatives of smaller blocks, for rows that do not fill a type's blocks.
private enum RowFallback {
  /// `nil` when `type` fits.
  static func type(insteadOf type: DType, _ tensor: Tensor) throws(RecipeError) -> DType? {
    func fits(_ type: DType) -> Bool { tensor.columns % type.blockElements == 0 }
    if fits(type) { return nil }
    let smaller: DType
    switch type {
    case .iq1_S, .iq1_M, .iq2_XXS, .iq2_XS, .iq2_S, .iq3_XXS, .iq3_S, .iq4_XS: smaller = .iq4_NL
    case .q2_0, .q2_K, .q3_K, .tq1_0, .tq2_0: smaller = .q4_0
    case .q4_K: smaller = .q5_0
    case .q5_K: smaller = .q5_1
    case .q6_K: smaller = .q8_0
    case _ where type.blockElements <= 32: smaller = type
    default:
      throw RecipeError(
        .rows, tensor.name, "rows of \(tensor.columns) do not fill \(type) blocks of \(type.blockElements)",
        remedy: "give it another type with --tensor-type")
    }
    return fits(smaller) ? smaller : .f16
  }
}

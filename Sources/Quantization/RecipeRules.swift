import Tensors

/// llama-quantize's mixtures: what each part of a model gets in each file type (llama.cpp 0c1e57098, llama-quant.cpp).
///
/// Some rules count the tensors that they have seen, so tensors must come in `TensorOrder`, and one that is decided
/// otherwise (by an override) is not counted. Upstream's own rules for Falcon, GLM and Bailing are left out.
struct RecipeRules {
  /// What a tensor is to the rules.
  enum Role {
    case tokenEmbedding, output, query, key, value, attentionOutput, up, gate, down, other

    /// By substring, the first that fits. Fused QKV and the latent KV of DeepSeek count as values.
    init(_ name: String) {
      switch name {
      case "output.weight": self = .output
      case "token_embd.weight", "per_layer_token_embd.weight": self = .tokenEmbedding
      default: self = Role.parts.first { name.hasBytes($0.part) }?.role ?? .other
      }
    }

    private static let parts: [(part: String, role: Role)] = [
      ("attn_qkv.weight", .value), ("attn_kv_b.weight", .value), ("attn_v.weight", .value), ("attn_k.weight", .key),
      ("attn_q.weight", .query), ("attn_output.weight", .attentionOutput), ("ffn_up", .up), ("ffn_gate", .gate),
      ("ffn_down", .down),
    ]
  }

  let recipe: Recipe
  let facts: RecipeFacts
  /// Whether the token embedding serves as the output.
  let isTied: Bool
  /// Values in the whole model.
  let valueCount: Int
  /// Of each role, how many these rules have decided.
  private var seen: (values: Int, ups: Int, gates: Int, downs: Int) = (0, 0, 0, 0)

  init(recipe: Recipe, facts: RecipeFacts, names: [String]) {
    self.recipe = recipe
    self.facts = facts
    let roles = names.map(Role.init)
    isTied = !roles.contains(.output)
    valueCount = roles.count { $0 == .value }
  }

  private var base: DType { recipe.fileType.base }
  private var layers: Int { facts.layerCount }
  /// The first Mixtral's size, which has rules of its own.
  private var hasEightExperts: Bool { facts.expertCount == 8 }
  private var sharesValues: Bool { facts.queryGroup >= 4 }

  /// The type for a tensor, before it is known whether its rows fill blocks.
  mutating func type(for tensor: Tensor) throws(RecipeError) -> DType {
    let role = Role(tensor.name)
    if role == .output || (role == .tokenEmbedding && isTied) { return outputType(columns: tensor.columns) }
    if recipe.fileType == .mxfp4_MoE {
      let dimensions = tensor.shape.ggmlOrder
      return dimensions.count > 2 && dimensions[2] > 1 ? .mxfp4 : .q8_0
    }
    switch role {
    case .tokenEmbedding: return embeddingType
    case .value:
      defer { seen.values += 1 }
      return valueType(index: seen.values)
    case .key, .query: return role == .key && hasEightExperts ? eightExpertKeyType : queryKeyType
    case .attentionOutput: return attentionOutputType
    case .down:
      defer { seen.downs += 1 }
      // The smallest types count where the others read the name.
      return downType(layer: isSmallest ? seen.downs : try layer(of: tensor, counted: seen.downs))
    case .gate:
      defer { seen.gates += 1 }
      return gateUpType(layer: try isSmallest ? 0 : layer(of: tensor, counted: seen.gates))
    case .up:
      defer { seen.ups += 1 }
      return gateUpType(layer: try isSmallest ? 0 : layer(of: tensor, counted: seen.ups))
    case .output, .other: return base
    }
  }

  // MARK: Which file types go together

  /// One and two bits: these have a branch of their own.
  private var isSmallest: Bool {
    switch recipe.fileType {
    case .iq1_S, .iq1_M, .iq2_XXS, .iq2_XS, .iq2_S, .iq2_M: true
    default: false
    }
  }

  /// What the better-kept parts of one- and two-bit files get.
  private var smallestRaised: DType {
    recipe.fileType == .iq2_S || recipe.fileType == .iq2_M ? .iq3_S : .q2_K
  }

  // MARK: Parts of a model

  private func outputType(columns: Int) -> DType {
    if let asked = recipe.outputTensorType { return asked }
    if recipe.fileType == .mxfp4_MoE || columns % base.blockElements != 0 { return .q8_0 }
    if isSmallest || recipe.fileType == .iq3_XXS { return .q5_K }
    return base == .q8_0 ? .q8_0 : .q6_K
  }

  private var embeddingType: DType {
    switch recipe.fileType {
    case .iq1_S, .iq1_M, .iq2_XXS, .iq2_XS: .q2_K
    case .iq2_S, .iq2_M, .iq3_XXS: .iq3_S
    case .tq1_0, .tq2_0, .q2_0: .q4_K
    default: base
    }
  }

  private func valueType(index: Int) -> DType {
    if isSmallest { return sharesValues || facts.expertCount >= 4 ? .q4_K : smallestRaised }
    if hasEightExperts { return .q8_0 }
    let type = mixedValueType(index: index)
    return facts.is70B && (type == .q3_K || type == .q4_K) ? .q5_K : type
  }

  private func mixedValueType(index: Int) -> DType {
    switch recipe.fileType {
    case .q2_K: sharesValues ? .q4_K : .q3_K
    case .q2_K_S, .iq3_XS, .iq3_S: sharesValues ? .q4_K : base
    case .iq3_XXS: sharesValues ? .q4_K : facts.hasImatrix ? .iq3_XXS : .iq3_S
    case .iq3_M: .q4_K
    case .q3_K_M: index < 2 ? .q5_K : .q4_K
    case .q3_K_L: .q5_K
    case .iq4_NL, .iq4_XS: sharesValues ? .q5_K : base
    case .q4_K_S: index < 4 ? .q5_K : base
    case .q4_K_M, .q5_K_M: RecipeRules.deservesMore(index, of: valueCount) ? .q6_K : base
    default: base
    }
  }

  private var eightExpertKeyType: DType { isSmallest ? .q4_K : .q8_0 }

  private var queryKeyType: DType {
    switch recipe.fileType {
    case .iq3_XS: .iq3_XXS
    case .iq3_XXS: .iq2_S
    default: base
    }
  }

  private var attentionOutputType: DType {
    if hasEightExperts {
      return switch recipe.fileType {
      case .q2_K, .q3_K_S, .q3_K_M, .q4_K_S, .q4_K_M, .iq3_XXS, .iq3_XS, .iq3_S, .iq3_M, .iq4_NL, .iq4_XS: .q5_K
      default: isSmallest ? .q5_K : base
      }
    }
    return switch recipe.fileType {
    case .iq1_S, .iq1_M: .iq2_XXS
    case .iq2_S, .iq2_M, .iq3_XXS: .iq3_S
    case .q2_K: .q3_K
    case .q3_K_M, .iq3_M: .q4_K
    case .q3_K_L: .q5_K
    default: base
    }
  }

  private func downType(layer: Int) -> DType {
    let isEarly = layer < layers / 8
    let deservesMore = RecipeRules.deservesMore(layer, of: layers)
    if isSmallest { return isEarly ? smallestRaised : base }
    return switch recipe.fileType {
    case .q2_K: .q3_K
    case .q2_K_S: isEarly ? .q4_K : base
    case .iq3_XXS: facts.hasImatrix ? base : isEarly ? .q4_K : .q3_K
    case .iq3_M: isEarly || (hasEightExperts && deservesMore) ? .q4_K : base
    case .q3_K_M: layer < layers / 16 ? .q5_K : .q4_K
    case .q3_K_L: .q5_K
    case .iq4_NL, .iq4_XS: isEarly && !facts.hasImatrix ? .q5_K : base
    case .q4_K_S: isEarly ? .q5_K : base
    case .q4_K_M, .q5_K_M: deservesMore ? .q6_K : base
    case .q4_0: isEarly && facts.hasImatrix ? .q4_1 : base
    case .q5_0: isEarly && facts.hasImatrix ? .q5_1 : base
    default: base
    }
  }

  private func gateUpType(layer: Int) -> DType {
    let isInner = layer >= layers / 8 && layer < 7 * layers / 8
    return recipe.fileType == .iq3_XS && isInner ? .iq3_XXS : base
  }

  // MARK: Layers

  /// The first and last eighth, and every third between.
  private static func deservesMore(_ index: Int, of count: Int) -> Bool {
    index < count / 8 || index >= 7 * count / 8 || (index - count / 8) % 3 == 2
  }

  /// Of a dense model the number counted so far; with experts, whose tensors may be stored apart, what the name says.
  private func layer(of tensor: Tensor, counted: Int) throws(RecipeError) -> Int {
    guard facts.expertCount > 1 else { return counted }
    guard let layer = TensorOrder.block(of: tensor.name), layer < layers else {
      throw RecipeError(.name, tensor.name, "no layer of a model of \(layers) (blk.0 … blk.\(layers - 1))")
    }
    return layer
  }
}

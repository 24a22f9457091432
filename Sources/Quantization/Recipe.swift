public import Bytes
public import Tensors

/// Which tensor gets which type: a file type and the user's wishes, in llama-quantize's vocabulary.
///
///     let recipe = try Recipe(fileType: "q4_k_m", overrides: ["attn_v=Q8_0"])
///     let decisions = try recipe.decide(tensors, facts: facts) { imatrix[$0] != nil }
public struct Recipe: Sendable, Hashable {
  public var fileType: FileType
  /// Every tensor in the base type, but for flags and overrides (`--pure`).
  public var isPure: Bool
  /// For `output.weight`, or for `token_embd.weight` where that serves as the output (`--output-tensor-type`).
  public var outputTensorType: DType?
  /// For `token_embd.weight` (`--token-embedding-type`); also where it serves as the output.
  public var tokenEmbeddingType: DType?
  /// Leaves `output.weight` as it is stored (`--leave-output-tensor`); without effect on tied models.
  public var leavesOutputTensor: Bool
  /// The first that matches a tensor's name decides (`--tensor-type`).
  public var overrides: [RecipeOverride]
  /// For tensors of exactly this name, before all else.
  public private(set) var types: [ExactString: DType] = [:]

  /// All file types, in the order of their ids.
  public static var fileTypes: [FileType] { FileType.allCases }

  public init(
    _ fileType: FileType, isPure: Bool = false, outputTensorType: DType? = nil, tokenEmbeddingType: DType? = nil,
    leavesOutputTensor: Bool = false, overrides: [RecipeOverride] = []
  ) {
    self.fileType = fileType
    self.isPure = isPure
    self.outputTensorType = outputTensorType
    self.tokenEmbeddingType = tokenEmbeddingType
    self.leavesOutputTensor = leavesOutputTensor
    self.overrides = overrides
  }

  /// From the words of a command line or manifest, in any case.
  /// - Parameter overrides: each `regex=type`.
  /// - Throws: `RecipeError` for the first word that is no type or no override.
  public init(
    fileType: String, isPure: Bool = false, outputTensorType: String? = nil, tokenEmbeddingType: String? = nil,
    leavesOutputTensor: Bool = false, overrides: [String] = []
  ) throws(RecipeError) {
    guard let type = FileType(name: fileType) else {
      let names = Recipe.fileTypes.flatMap { [$0.name] + $0.aliases }
      throw RecipeError(.type, fileType, "no such type", remedy: "known are " + names.joined(separator: " "))
    }
    var parsed: [RecipeOverride] = []
    for text in overrides { parsed.append(try RecipeOverride(parsing: text)) }
    self.init(
      type, isPure: isPure, outputTensorType: try outputTensorType.map(WeightTypes.type(named:)),
      tokenEmbeddingType: try tokenEmbeddingType.map(WeightTypes.type(named:)),
      leavesOutputTensor: leavesOutputTensor, overrides: parsed)
  }

  /// Gives the tensor of exactly this name a type.
  /// - Throws: `RecipeError` `type` for a word that names no type of weights.
  public mutating func setType(of name: String, to type: String) throws(RecipeError) {
    types[ExactString(name)] = try WeightTypes.type(named: type)
  }
}

/// What the rules ask of a model, apart from its tensors.
public struct RecipeFacts: Sendable, Hashable {
  /// `general.architecture`.
  public var architecture: String
  public var layerCount: Int
  public var headCount: Int
  public var keyValueHeadCount: Int
  /// 0 for a dense model.
  public var expertCount: Int
  /// Whether there is an importance matrix at all; a few rules ask.
  public var hasImatrix: Bool

  public init(
    architecture: String = "llama", layerCount: Int, headCount: Int, keyValueHeadCount: Int, expertCount: Int = 0,
    hasImatrix: Bool = false
  ) {
    self.architecture = architecture
    self.layerCount = layerCount
    self.headCount = headCount
    self.keyValueHeadCount = keyValueHeadCount
    self.expertCount = expertCount
    self.hasImatrix = hasImatrix
  }

  /// Query heads that share a key-value head; 0 when there are no key-value heads.
  var queryGroup: Int { keyValueHeadCount == 0 ? 0 : headCount / keyValueHeadCount }

  /// What llama.cpp takes for a 70 B model, whose attn_v is small beside everything else.
  var is70B: Bool {
    switch architecture {
    case "llama", "llama-embed": layerCount == 80 && headCount != keyValueHeadCount
    case "qwen2", "deci", "olmo": layerCount == 80
    case "jais2": layerCount == 68
    default: false
    }
  }
}

/// What a recipe makes of one tensor.
public struct Decision: Sendable, Hashable {
  public var type: DType
  /// Why it is not what the file type's rules say: kept, overridden, or rows that do not fill blocks.
  public var note: String?
  /// Whether a flag or a file named the type for this tensor: nothing else may choose another.
  public var isAsked: Bool

  public init(type: DType, note: String? = nil, isAsked: Bool = false) {
    (self.type, self.note, self.isAsked) = (type, note, isAsked)
  }
}

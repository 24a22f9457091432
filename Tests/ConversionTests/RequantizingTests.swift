import Bytes
import Conversion
import Quantization
import Tensors
import TestSupport
import Testing

/// A GGUF in any format of blocks is a model like any other: its weights are what its blocks mean.
@Suite struct RequantizingTests {
  private static let tiny = Fixtures.path("tiny-llama")
  static let types = DType.allCases.filter { $0.isBlock && BlockQuantizer.supports($0) }

  private func converted(
    _ path: String, _ recipe: Recipe, _ folder: TemporaryFolder, importance: ImportanceMatrix? = nil
  ) throws -> ModelInput {
    let input = try ModelInput(opening: path)
    let out = folder.path("\(try folder.names().count).gguf")
    let plan = try ConversionPlan(input, recipe: recipe, importance: importance)
    _ = try Converter(plan: plan, jobs: 2, rounding: .init(importance: importance)).run(
      into: OutputFile(out), checking: input)
    return try ModelInput(opening: out)
  }

  private func values(of tensor: Tensor) throws -> [Float] {
    var x = [Float](repeating: .nan, count: tensor.shape.elementCount)
    var span = x.mutableSpan
    let stored = try tensor.read(rows: 0..<tensor.rows)
    unsafe BlockDecoder.decodeReference(stored.span.bytes, as: tensor.dtype, into: &span)
    return x
  }

  /// The tiny model, all its matrices in `type`.
  private func model(in type: DType, _ folder: TemporaryFolder) throws -> ModelInput {
    let recipe = try Recipe(.f16, overrides: [RecipeOverride(pattern: "weight", type: type)])
    var importance = ImportanceMatrix(file: "ones")
    for tensor in try ModelInput(opening: Self.tiny).model.tensors where tensor.shape.rank > 1 {
      try importance.add(tensor.name, [Float](repeating: 1, count: tensor.columns))
    }
    return try converted(Self.tiny, recipe, folder, importance: importance)
  }

  @Test(arguments: types) func weightsAreWhatTheBlocksMean(type: DType) throws {
    let folder = try TemporaryFolder()
    let stored = try model(in: type, folder)
    #expect(stored.model.tensors.count { $0.dtype == type } == 44)
    let decoded = try converted(stored.path, Recipe(.f32), folder)
    #expect(decoded.model.tensors.count == stored.model.tensors.count)
    for (found, tensor) in zip(decoded.model.tensors, stored.model.tensors) {
      #expect(found.name == tensor.name && found.dtype == .f32)
      let (ours, expected) = (try values(of: found), try values(of: tensor))
      let differences = zip(ours, expected).count { $0.bitPattern != $1.bitPattern }
      #expect(differences == 0 && ours.count == expected.count, "\(tensor.name)")
    }
  }

  /// In one run or two it is the same; blocks that have the type asked for stay as they are.
  @Test(arguments: types) func requantizingIsDecodingAndQuantizing(type: DType) throws {
    let folder = try TemporaryFolder()
    let stored = try model(in: type, folder)
    let atOnce = try converted(stored.path, Recipe(.q4_K_M), folder)
    let inTwoRuns = try converted(converted(stored.path, Recipe(.f32), folder).path, Recipe(.q4_K_M), folder)
    var moved = 0
    for (index, tensor) in atOnce.model.tensors.enumerated() {
      let isKept = tensor.dtype == stored.model.tensors[index].dtype
      let expected = (isKept ? stored : inTwoRuns).model.tensors[index]
      #expect(tensor.name == expected.name && tensor.dtype == expected.dtype)
      #expect(try tensor.read(rows: 0..<tensor.rows) == expected.read(rows: 0..<expected.rows), "\(tensor.name)")
      moved += isKept ? 0 : 1
    }
    // Those of Q4_K_M are Q4_K and Q6_K.
    #expect(type == .q4_K || type == .q6_K ? (1..<44).contains(moved) : moved == 44)
  }
}

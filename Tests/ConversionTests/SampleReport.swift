import Bytes
import Conversion
import Quantization
import Tensors
import TestSupport

/// A report of the tiny model in a few types, over four chunks of a text; tests change what they need.
enum SampleReport {
  /// Q8_0 and Q2_K, the latter with a wrong rotary base.
  static let ofTwo = Result { try make([(.q8_0, []), (.q2_K, wrongBase)]) }
  static let ofOne = Result { try make([(.q4_K_M, [])]) }

  private static let wrongBase = [
    (key: "llama.rope.freq_base", value: MetadataOverrideValue(type: "float", text: "20000")!)
  ]

  private static func make(
    _ candidates: [(FileType, [(key: String, value: MetadataOverrideValue)])]
  ) throws -> DriftReport {
    let folder = try TemporaryFolder()
    let input = try ModelInput(opening: Fixtures.path("tiny-llama"))
    let models = try candidates.map { type, overrides in
      let path = folder.path("tiny-\(type.name).gguf")
      let plan = try ConversionPlan(input, recipe: Recipe(type), overriding: overrides)
      _ = try Converter(plan: plan, jobs: 2).run(into: OutputFile(path), checking: input)
      return try ModelInput(opening: path)
    }
    var gates = Gates()
    for (kind, limit) in [(Gates.Kind.maximumKLD, 0.05), (.minimumTop1, 0.5), (.maximumPerplexityRatio, 1.5)] {
      try gates.set(kind, limit)
    }
    return try Verification(
      candidates: models, reference: input, text: TextFile(reading: Fixtures.path("text/python-docs-evaluate.txt")),
      options: WalkOptions(context: 64, chunks: 4, jobs: 2),
      gates: gates, extras: Verification.Extras(hashes: true)
    ).run()
  }
}

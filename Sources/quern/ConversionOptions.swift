import ArgumentParser
import Bytes
import Conversion
import Quantization

/// What is converted, and to what: all that decides the bytes of the outputs.
struct ConversionOptions: ParsableArguments {
  @Argument(help: "A model folder, a file of weights or an index, or a GGUF.")
  var input: String

  @OptionGroup var recipe: RecipeOptions
  @OptionGroup(title: "Where to cut a set of files") var split: SplitOptions
  @OptionGroup(title: "How to lose less at the same size") var calibrating: CalibrationOptions
  @OptionGroup var reading: InputOptions

  @Option(
    help: ArgumentHelp("Weigh errors by this importance matrix, a GGUF or .dat of llama-imatrix.", valueName: "file"))
  var imatrix: String?

  @Option(
    name: .customLong("override-kv"),
    help: ArgumentHelp("Set a metadata key; TYPE is int, float, bool or str. Repeatable.", valueName: "key=type:value"))
  var overrides: [MetadataOverride] = []

  func validate() throws {
    if recipe.recipe != nil, calibrating.allocates {
      throw ValidationError("--recipe chooses every type: leave --allocate and the flags that imply it out.")
    }
  }

  /// How to make files of `recipe` from `input`; nothing is written.
  func plan(
    _ input: ModelInput, _ recipe: Recipe, _ rounding: Converter.Rounding, provenance: ConversionProvenance? = nil
  ) throws -> ConversionPlan {
    try ConversionPlan(
      input, recipe: recipe, importance: rounding.importance, isCalibrated: rounding.feedback != nil,
      overriding: overrides.map { ($0.key, $0.value) }, provenance: provenance,
      limits: split.limits)
  }

  /// The matrix of `--imatrix`.
  func importance() throws -> ImportanceMatrix? { try imatrix.map { try ImportanceMatrix(reading: $0) } }

  /// The Hessians of `--hessian`, which are those of `input`.
  func hessians(for input: ModelInput) throws -> HessianFolder? {
    let folder = try calibrating.hessian.map { try HessianFolder(reading: $0) }
    try folder?.check(against: input)
    return folder
  }
}

/// `KEY=TYPE:VALUE`.
struct MetadataOverride: ExpressibleByArgument {
  var key: String
  var value: MetadataOverrideValue
  /// As it was given.
  let argument: String

  init?(argument: String) {
    self.argument = argument
    guard let equals = argument.firstIndex(of: "="), let colon = argument[equals...].firstIndex(of: ":") else {
      return nil
    }
    key = String(argument[..<equals])
    let type = argument[argument.index(after: equals)..<colon]
    let text = String(argument[argument.index(after: colon)...])
    guard !key.isEmpty, let value = MetadataOverrideValue(type: String(type), text: text) else { return nil }
    self.value = value
  }
}

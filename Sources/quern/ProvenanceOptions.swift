import ArgumentParser
import Conversion

/// Flags that have an output say what it was made from, and of what is written beside it.
struct ProvenanceOptions: ParsableArguments {
  @Flag(
    help: """
      Have the output say what it was made from and how, and write OUTPUT.sha256 and OUTPUT.intoto.json beside it. Reads the \
      input once more.
      """)
  var provenance = false

  @Option(help: ArgumentHelp("Who quantized it. (default: Quern and its version)", valueName: "name"))
  var quantizedBy: String?

  func validate() throws {
    if quantizedBy != nil, !provenance { throw ValidationError("--quantized-by needs --provenance.") }
  }

  /// - Returns: `nil` when none is asked for.
  func record(
    of input: ModelInput, _ flags: ConversionOptions, _ rounding: Converter.Rounding, text: CalibrationText?,
    hessians: HessianFolder?, jobs: Int, progress: ProgressHandler?
  ) throws -> ConversionProvenance? {
    guard provenance else { return nil }
    return try ConversionProvenance(
      of: input, quantizedBy: quantizedBy,
      method: (flags.calibrating.awq ? "awq+" : "") + (rounding.feedback == nil ? "rtn" : "gptq"),
      recipe: try flags.recipe.description + flags.calibrating.description(rounding)
        + flags.overrides.map { ("override-kv", $0.argument) } + flags.split.description,
      text: text, hessians: hessians, imatrix: flags.imatrix, jobs: jobs, progress: progress)
  }
}

extension RecipeOptions {
  /// What was asked for beside `--type`, of a file of types its digest.
  fileprivate var description: ConversionProvenance.Recipe {
    get throws {
      try [
        recipe.map { ("recipe-sha256", try ConversionProvenance.sha256(of: $0)) },
        outputTensorType.map { ("output-tensor-type", $0) },
        tokenEmbeddingType.map { ("token-embedding-type", $0) },
        pure ? ("pure", "") : nil,
        leaveOutputTensor ? ("leave-output-tensor", "") : nil,
      ].compactMap(\.self) + tensorTypes.map { ("tensor-type", $0) }
    }
  }
}

extension CalibrationOptions {
  fileprivate func description(_ rounding: Converter.Rounding) -> ConversionProvenance.Recipe {
    let chunks: ConversionProvenance.Recipe =
      calibration.isEmpty
      ? []
      : [
        ("calibration-context", "\(calibrationContext)"),
        ("calibration-seed", calibrationSeed.map { "\($0)" } ?? "even"),
      ]
    let size: ConversionProvenance.Recipe =
      allocates
      ? [("allocate", targetSize.map { "\($0.bytes) bytes" } ?? targetBpw.map { "\($0) bits" } ?? "as the type")] : []
    return [("search", rounding.search.rawValue)] + chunks + size + settings.map { ("gptq", $0.argument) }
  }
}

extension SplitOptions {
  fileprivate var description: ConversionProvenance.Recipe {
    [
      splitMaxSize.map { ("split-max-size", "\($0.bytes)") }, splitMaxTensors.map { ("split-max-tensors", "\($0)") },
    ].compactMap(\.self)
  }
}

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

  @Flag(
    help: "Write OUTPUT.Modelfile for ollama create: template, stop tokens and sampling, as far as the model says them."
  )
  var modelfile = false

  @Flag(help: "Write OUTPUT.md, a model card: files, how they were made, and the drift that --verify measured.")
  var modelCard = false

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

extension ProvenanceOptions {
  private static let suffixes = (modelfile: ".Modelfile", card: ".md")

  /// What is written beside outputs, tried before they are made.
  func companions(of outputs: [ConversionJob.Output], overwrites: Bool) throws -> CompanionFiles {
    if modelfile, outputs.contains(where: { $0.plan.layouts.count > 1 }) {
      throw ValidationError("A Modelfile names one file: leave --modelfile or the flags that cut a set out.")
    }
    let suffixes = (modelfile ? [Self.suffixes.modelfile] : []) + (modelCard ? [Self.suffixes.card] : [])
    return try CompanionFiles(
      outputs.flatMap { output in suffixes.map { CompanionFiles.path(beside: output.path, $0) } },
      overwrites: overwrites)
  }

  func write(
    _ files: CompanionFiles, for output: ConversionReport.Output, of model: String, _ job: ConversionJob,
    drift: DriftReport?
  ) throws {
    if modelfile {
      try files.write(
        Modelfile(for: output.path, output.plan.metadata).text,
        to: CompanionFiles.path(beside: output.path, Self.suffixes.modelfile))
    }
    if modelCard {
      let row = OutputCard.Row(
        type: output.recipe.fileType.name, files: output.written.files, bitsPerWeight: output.plan.bitsPerWeight)
      try files.write(
        OutputCard(of: model, output.plan.metadata, row, provenance: job.provenance, drift: drift).text,
        to: CompanionFiles.path(beside: output.asked, Self.suffixes.card))
    }
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

import ArgumentParser
import Bytes
import Conversion

/// Flags that say what is measured beside the walk.
struct ProofOptions: ParsableArguments {
  @Flag(help: "Measure the KL divergence that each tensor causes alone.")
  var attribute = false

  @Option(help: ArgumentHelp("Chunks of text for --attribute.", valueName: "count"))
  var attributeChunks = 4

  @Flag(help: "Stop as soon as every model is certain to fail --max-kld or --min-top1.")
  var failFast = false

  func validate() throws {
    if attributeChunks < 1 { throw ValidationError("--attribute-chunks takes a number from 1.") }
  }

  /// - Parameters:
  ///   - hashes: whether the files are hashed, for a report.
  ///   - arithmetic: that of the walk, whose floor is measured if it is not exact or if that is asked for.
  func extras(hashes: Bool, _ arithmetic: ArithmeticOption) -> Verification.Extras {
    Verification.Extras(
      hashes: hashes, attributionChunks: attribute ? attributeChunks : nil, failsFast: failFast,
      floorChunks: arithmetic.floorChunks ?? (arithmetic.arithmetic == .f32 ? nil : 4))
  }
}

/// Limits, on the command line or in a file.
struct GateOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Fail when the mean KL divergence is above this.", valueName: "nats"))
  var maxKld: Double?

  @Option(help: ArgumentHelp("Fail when the 99th percentile of the KL divergence is above this.", valueName: "nats"))
  var maxP99Kld: Double?

  @Option(help: ArgumentHelp("Fail when top-1 agreement is below this.", valueName: "fraction"))
  var minTop1: Double?

  @Option(help: ArgumentHelp("Fail when the ratio of perplexities is above this.", valueName: "ratio"))
  var maxPplRatio: Double?

  @Option(
    help: ArgumentHelp(
      "Fail when the relative error of the hidden state after a layer is above this.", valueName: "error"))
  var maxLayerError: Double?

  @Option(
    help: ArgumentHelp(
      "Fail when more parameters than this differ from the reference's. (default: 0 when there is another gate)",
      valueName: "count"))
  var maxDifferences: Int?

  @Option(
    help: ArgumentHelp(
      "Gates in YAML, one a line as in max-kld: 0.05; those on the command line replace them.", valueName: "file"))
  var gates: String?

  /// The gates of the command line, which have been checked.
  private func stated() throws(InputError) -> Gates {
    var gates = Gates()
    for (kind, limit): (Gates.Kind, Double?) in [
      (.maximumKLD, maxKld), (.maximumP99KLD, maxP99Kld), (.minimumTop1, minTop1),
      (.maximumPerplexityRatio, maxPplRatio), (.maximumLayerError, maxLayerError),
      (.maximumDifferences, maxDifferences.map(Double.init)),
    ] {
      if let limit { try gates.set(kind, limit) }
    }
    return gates
  }

  func validate() throws {
    do throws(InputError) { _ = try stated() } catch {
      throw ValidationError("--\(error.subject ?? "gate"): \(error.problem).")
    }
  }

  var areStated: Bool {
    gates != nil || maxDifferences != nil
      || [maxKld, maxP99Kld, minTop1, maxPplRatio, maxLayerError].contains { $0 != nil }
  }

  func limits() throws -> Gates {
    var all = try gates.map { try Gates(reading: $0) } ?? Gates()
    let stated = try stated()
    for kind in Gates.Kind.allCases { if let limit = stated[kind] { all[kind] = limit } }
    return all
  }
}

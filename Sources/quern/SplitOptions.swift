import ArgumentParser
import Conversion

/// Flags that say where a set of files is cut, in llama-gguf-split's words.
struct SplitOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Begin a new file before this size of tensors is passed, such as 4G; K, M and G are powers of 1000 here, as in llama.cpp.",
      valueName: "size"))
  var splitMaxSize: DecimalSize?

  @Option(help: ArgumentHelp("Begin a new file after so many tensors.", valueName: "count"))
  var splitMaxTensors: Int?

  func validate() throws {
    if let splitMaxTensors, splitMaxTensors < 1 {
      throw ValidationError("--split-max-tensors takes a number from 1 on.")
    }
  }

  var limits: SplitLimits { SplitLimits(maximumTensors: splitMaxTensors, maximumBytes: splitMaxSize?.bytes) }
}

/// A size such as `500M` or `4G`; powers of 1000, at least one byte.
struct DecimalSize: ExpressibleByArgument, Equatable {
  var bytes: Int

  init?(argument: String) {
    let units: [Character: Int] = ["K": 1_000, "M": 1_000_000, "G": 1_000_000_000, "T": 1_000_000_000_000]
    let unit = argument.uppercased().last.flatMap { units[$0] }
    guard let number = Int(unit == nil ? argument[...] : argument.dropLast()), number > 0 else { return nil }
    let (bytes, overflows) = number.multipliedReportingOverflow(by: unit ?? 1)
    guard !overflows else { return nil }
    self.bytes = bytes
  }
}

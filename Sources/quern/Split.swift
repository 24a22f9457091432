import ArgumentParser
import Bytes
import Conversion

struct Split: WatchedCommand {
  static let configuration = CommandConfiguration(
    abstract: "Cut a GGUF into a set of smaller files.",
    discussion: """
      The files are named OUTPUT-00001-of-0000N.gguf and are those of llama-gguf-split, byte for byte: llama.cpp, Ollama and \
      every command of Quern open the set by its first file. The metadata is in the first; the tensors are copied as they \
      are. The input may be a set itself, to be cut otherwise.
      The first file takes its name when all others are complete, so nobody finds half a set.
      quern convert writes a set at once, with the same two flags.

      EXAMPLES
        quern split llama3-f16.gguf --split-max-size 4G -o llama3-f16
        quern split llama3-f16.gguf --split-max-tensors 256 -o parts/llama3.gguf --dry-run
        quern merge llama3-f16-00001-of-00004.gguf -o llama3-f16.gguf
      """)

  @Argument(help: "A GGUF, or any file of a split set.")
  var input: String

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp("What the names of the set begin with; .gguf at its end is left out.", valueName: "path"))
  var output: String

  @OptionGroup(title: "Where to cut; after 128 tensors if nothing is said") var split: SplitOptions
  @OptionGroup var writing: RepackingOptions
  @OptionGroup var shared: SharedOptions

  func run() throws {
    let limits =
      split.limits == .none ? SplitLimits(maximumTensors: Split.defaultMaximumTensors) : split.limits
    try writing.run(Repacking(splitting: input, limits: limits), to: output, shared)
  }

  /// As llama-gguf-split.
  private static let defaultMaximumTensors = 128
}

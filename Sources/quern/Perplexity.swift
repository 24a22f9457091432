import ArgumentParser
import Bytes
import Conversion

struct Perplexity: WatchedCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure a model's perplexity on a text.",
    discussion: """
      By llama.cpp's rule: the text is cut into chunks of --ctx tokens, the first token of each is replaced by the model's \
      BOS if it uses one, and the second half of each chunk is scored. The forward pass is in F32, one layer at a time over \
      all chunks, so that weights are read once and memory does not grow with depth. --arithmetic bf16 rounds weights and \
      what they are multiplied with to BF16: twice as fast on processors with AVX512-BF16, slower on others. \
      --floor-chunks measures what that costs.

      EXAMPLES
        quern perplexity model.gguf --text wiki.txt
        quern perplexity ./Llama-3.2-1B --text wiki.txt --chunks 40 --json
        quern perplexity model-f16.gguf --text wiki.txt --save-logits base.kld
        quern perplexity model.gguf --text wiki.txt --arithmetic bf16
      """)

  @Argument(help: "A model folder or a GGUF.")
  var model: String

  @Option(help: ArgumentHelp("The text to measure on.", valueName: "file"))
  var text: String

  @OptionGroup var walk: WalkArguments
  @OptionGroup var arithmetic: ArithmeticOption

  @Option(
    help: ArgumentHelp(
      "Write all predictions as llama-perplexity --kl-divergence-base does: 16 bits a token of the vocabulary.",
      valueName: "file"))
  var saveLogits: String?

  @Flag(help: "Replace the file of --save-logits if there is one.")
  var force = false

  @OptionGroup var reading: InputOptions
  @OptionGroup var compute: ComputeOptions
  @OptionGroup var shared: SharedOptions

  func run() throws {
    let console = shared.console
    let text = try TextFile(reading: text)
    let input = try reading.open(model, console, jobs: compute.threads)
    let logits = try saveLogits.map { try OutputFile($0, overwrites: force) }
    let result = try PerplexityRun(
      model: input, text: text, options: walk.options(compute, console, arithmetic.chosen(console)), logits: logits,
      floorChunks: arithmetic.floorChunks
    ).run(progress: console.progress())
    if shared.json {
      print(result.json.text(indented: true))
    } else {
      print(result.text)
    }
  }
}

/// Flags of commands that push text through a model.
struct WalkArguments: ParsableArguments {
  @Option(help: ArgumentHelp("Tokens in a chunk.", valueName: "tokens"))
  var ctx = 512

  @Option(help: ArgumentHelp("Chunks to use. (default: all)", valueName: "count"))
  var chunks: Int?

  func validate() throws {
    if !(8...131_072).contains(ctx) { throw ValidationError("--ctx takes a number from 8 to 131072.") }
    if let chunks, chunks < 1 { throw ValidationError("--chunks takes a number from 1.") }
  }

  func options(_ compute: ComputeOptions, _ console: Console, _ arithmetic: Arithmetic = .f32) -> WalkOptions {
    var options = WalkOptions(
      context: ctx, chunks: chunks, jobs: compute.threads, memory: compute.memory.bytes, arithmetic: arithmetic)
    options.memoryPlan = { console.say("memory: \($0)") }
    return options
  }
}

/// The flag of commands that may compute in less than F32.
struct ArithmeticOption: ParsableArguments {
  @Option(help: "What products with weights are computed in.")
  var arithmetic = Arithmetic.f32

  @Option(
    help: ArgumentHelp(
      "Compute so many chunks in f32 too, and print how far the arithmetic is from it. (default in verify: 4, unless it is "
        + "f32)", valueName: "count"))
  var floorChunks: Int?

  func validate() throws {
    if let floorChunks, floorChunks < 1 { throw ValidationError("--floor-chunks takes a number from 1.") }
  }

  /// Says so where it is slow.
  func chosen(_ console: Console) -> Arithmetic {
    if !arithmetic.isFast {
      console.say("note: this processor has no instructions for \(arithmetic); it takes several times as long as f32")
    }
    return arithmetic
  }
}

extension Arithmetic: ExpressibleByArgument {}

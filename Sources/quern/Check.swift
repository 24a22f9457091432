import ArgumentParser
import Bytes
import Conversion

struct Check: WatchedCommand {
  static let configuration = CommandConfiguration(
    abstract: "Prove that a GGUF is whole, sound and loadable.",
    discussion: """
      Reads every byte. Proved are the header, sizes and offsets, the completeness of a split set, that no scale or weight is \
      infinite or NaN, and that keys, tensors and tokenizer are what the model needs; with --for, what llama.cpp or Ollama \
      needs to load it. The bytes are compared with the digests that were published with the file: NAME.intoto.json, \
      NAME.sha256 or SHA256SUMS beside it, or what --sums names. A statement knows the digest of every tensor, so damage is \
      told by name.
      All that is wrong is listed, and the exit code is 65 then.

      EXAMPLES
        quern check llama-q4km.gguf
        quern check llama-q4km.gguf --for ollama
        quern check llama-00001-of-00004.gguf --for llama.cpp --json | jq .findings
        quern check llama-q4km.gguf --sums SHA256SUMS --against ./Llama-3.2-1B
      """)

  @Argument(help: "A GGUF, or any file of a split set.")
  var file: String

  @Option(
    name: .customLong("for"),
    help: ArgumentHelp("Whose rules to hold the file against besides: llama.cpp or ollama.", valueName: "consumer"))
  var consumer: FileCheck.Consumer?

  @Option(
    help: ArgumentHelp("Digests to compare with, of sha256sum or an in-toto statement.", valueName: "file"))
  var sums: String?

  @Option(help: ArgumentHelp("The model that the file should have been made from.", valueName: "model"))
  var against: String?

  @OptionGroup var reading: InputOptions

  @Option(name: [.customShort("j"), .long], help: "Threads to read and look on. (default: one a processor)")
  var jobs: Int?

  @OptionGroup var shared: SharedOptions

  func validate() throws {
    if let jobs, !(1...1024).contains(jobs) { throw ValidationError("--jobs takes a number from 1 to 1024.") }
  }

  func run() throws {
    let console = shared.console
    let threads = jobs ?? Machine.processorCount
    let check = FileCheck(
      of: file, for: consumer, published: try sums.map { try PublishedDigests(reading: $0) },
      against: try against.map { try reading.open($0, console, jobs: threads) })
    let report = try check.run(jobs: threads, progress: console.progress())
    print(shared.json ? report.json.text(indented: true) : report.text)
    if !report.passed { throw CheckFailure(count: report.count) }
  }
}

extension FileCheck.Consumer: ExpressibleByArgument {}

/// A file has findings, which were printed.
struct CheckFailure: Error, CustomStringConvertible {
  let count: Int

  var description: String { count == 1 ? "there is a finding" : "there are \(count) findings" }
}

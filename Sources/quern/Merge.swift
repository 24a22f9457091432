import ArgumentParser
import Bytes
import Conversion

struct Merge: WatchedCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make one GGUF of a split set.",
    discussion: """
      All files of the set lie in one folder under their names; which of them is given does not matter. What is missing, and \
      files that belong to another set, are named. The tensors are copied as they are, and the keys of the set left out: the \
      output is the file that was split.
      No command of Quern needs this: they read sets as they are.

      EXAMPLES
        quern merge llama3-00001-of-00004.gguf -o llama3.gguf
        quern merge parts/llama3-00001-of-00004.gguf -o llama3.gguf --force
      """)

  @Argument(help: "A file of the set.")
  var input: String

  @Option(name: .shortAndLong, help: ArgumentHelp("The GGUF to write.", valueName: "file"))
  var output: String

  @OptionGroup var writing: RepackingOptions
  @OptionGroup var shared: SharedOptions

  func run() throws { try writing.run(Repacking(merging: input), to: output, shared) }
}

/// Flags of `split` and `merge`, and what both do with them.
struct RepackingOptions: ParsableArguments {
  @Flag(help: "Print the files that would be written, and write nothing.")
  var dryRun = false

  @Flag(help: "Replace the output if it exists.")
  var force = false

  func run(_ repacking: Repacking, to output: String, _ shared: SharedOptions) throws {
    let began = ContinuousClock.now
    guard !dryRun else {
      let names = OutputSet.names(output, repacking.layouts)
      if shared.json {
        let files = zip(names, repacking.layouts).map { name, layout in
          JSONText.object([
            ("path", .string(name)), ("file_bytes", .int(layout.fileSize)), ("tensors", .int(layout.entries.count)),
          ])
        }
        print(JSONText.object(members(repacking, names[0]) + [("files", .array(files))]).text(indented: true))
      } else {
        for (name, layout) in zip(names, repacking.layouts) {
          print("\(name): \(megabytes(layout.fileSize)), \(layout.entries.count) tensors; not written")
        }
      }
      return
    }
    let files = try repacking.run(
      into: OutputSet(output, repacking.layouts, overwrites: force), jobs: Machine.processorCount,
      progress: shared.console.progress())
    for file in files { shared.console.published(file.path, sha256: file.sha256) }
    if shared.json {
      print(
        JSONText.object(
          members(repacking, files[0].path) + [
            ("files", .array(files.map(\.json))), ("seconds", .double(Machine.seconds(since: began))),
          ]
        ).text(indented: true))
    } else {
      for (file, layout) in zip(files, repacking.layouts) {
        print("\(file.path): \(megabytes(file.bytes)), \(layout.entries.count) tensors\nsha256 \(file.sha256)")
      }
    }
  }

  private func members(_ repacking: Repacking, _ output: String) -> [(String, JSONText)] {
    [
      ("output", .string(output)), ("file_bytes", .int(repacking.fileBytes)), ("tensors", .int(repacking.tensorCount)),
    ]
  }
}

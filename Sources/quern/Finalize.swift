import ArgumentParser
import Bytes
import Conversion

struct Finalize: WatchedCommand {
  static let configuration = CommandConfiguration(
    abstract: "Prove and publish what the tasks of a plan made.",
    discussion: """
      Reads every byte again, holds it against what its task noted, and gives the file its name. Exits with 75 while tasks \
      are missing; done before, it says so again.

      EXAMPLE
        quern finalize plan
      """)

  @OptionGroup var spread: SpreadOptions
  @OptionGroup var shared: SharedOptions

  func run() throws {
    let (folder, flags, work) = try spread.open(shared.console)
    Interruption.listen()
    let files = try folder.finish(work, overwrites: flags.force, progress: shared.console.progress())
    Interruption.stopListening()
    let bytes = files.reduce(0) { $0 + $1.bytes }
    guard !shared.json else {
      let report = JSONText.object([
        ("output", .string(files[0].path)), ("file_bytes", .int(bytes)), ("sha256", .string(files[0].sha256)),
        ("files", .array(files.map(\.json))),
      ])
      return print(report.text(indented: true))
    }
    print(files.map { "\($0.path): \(megabytes($0.bytes)), sha256 \($0.sha256)" }.joined(separator: "\n"))
  }
}

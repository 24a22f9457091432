import ArgumentParser
import Bytes
import Conversion

struct Inspect: WatchedCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show what a checkpoint or GGUF holds.",
    discussion: """
      The header is proved first, so what is shown is what a reader would get. Shapes are row-major, outputs before inputs; \
      for a GGUF they are in GGUF's order, contiguous dimension first.

      EXAMPLES
        quern inspect ./Llama-3.2-1B
        quern inspect model.gguf --tensors
        quern inspect model.gguf --json | jq .metadata
      """)

  @Argument(help: "A model folder, a file of weights or an index, or a GGUF.")
  var path: String

  @OptionGroup var layout: LayoutOption

  @Flag(help: "List every tensor.")
  var tensors = false

  @OptionGroup var shared: SharedOptions

  func run() throws {
    let inspection = try Inspection(of: path, layout: layout.value)
    if shared.json {
      print(inspection.json(withTensors: true).text(indented: true))
      return
    }
    print(inspection.summary)
    if !inspection.metadata.isEmpty {
      print()
      var table = TextTable(columns: ["key", "value"])
      for (key, value) in inspection.metadata { table.add([printable(key), value]) }
      print(table.text)
    }
    print()
    if tensors {
      var table = TextTable(columns: ["tensor", "type", "shape", "bytes", "offset"])
      for tensor in inspection.tensors {
        table.add([
          printable(tensor.name), tensor.type, tensor.shapeText, "\(tensor.bytes)", tensor.offset.map { "\($0)" } ?? "",
        ])
      }
      print(table.text)
    } else {
      var table = TextTable(columns: ["type", "tensors", "bytes"])
      for (type, count, bytes) in inspection.types { table.add([type, "\(count)", "\(bytes)"]) }
      print(table.text)
    }
    for note in inspection.notes { print("note: \(note)") }
  }
}

import ArgumentParser
import Bytes
import Conversion

/// The path of an output, in which `{name}` stands for the model's name and `{type}` for the type that it is quantized to:
/// `out/{name}-{type}.gguf`.
struct OutputTemplate: ExpressibleByArgument {
  private let template: PathTemplate

  init(argument: String) { template = PathTemplate(argument) }

  /// - Parameters:
  ///   - types: how many the outputs are of.
  ///   - flag: which says where it was given.
  func validate(types: Int, flag: String) throws {
    if let unknown = template.placeholders.first(where: { $0 != "name" && $0 != "type" }) {
      throw ValidationError("\(flag) has {\(printable(unknown))}, where {name} and {type} are known.")
    }
    if types > 1, !template.placeholders.contains("type") {
      throw ValidationError(
        "With several types, \(flag) needs {type}, so that each has a file of its own: 'out/{name}-{type}.gguf'.")
    }
  }

  /// - Parameter name: asked for only where it is wanted.
  func path(type: String, name: @autoclosure () throws -> String) throws -> String {
    try template.filled { $0 == "name" ? try name() : type }
  }
}

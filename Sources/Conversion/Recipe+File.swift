import Bytes
public import Quantization
import Tensors

extension Recipe {
  /// From a file that `ConversionPlan.recipeText` made:
  ///
  /// ```yaml
  /// type: Q4_K_M
  /// tensors:
  ///   output.weight: Q6_K
  ///   blk.0.attn_k.weight: Q5_K
  /// ```
  /// `type` decides what `tensors` leaves open and is `general.file_type` of the output.
  /// - Throws: `YAML`, `NAME` for another key, `DUP`, `MISSING` without `type`, `TYPE` for a word that is no type, naming
  ///   line and tensor.
  public init(reading path: String) throws {
    let remedy = "write type: Q4_K_M, then tensors: with a type for each name"
    let file = try YAMLFile(reading: path, limit: 8 << 20, expecting: "type: and tensors:", remedy: remedy)
    guard let type = file.entries.first(where: { $0.key == "type" }) else {
      throw InputError(.missing, "the recipe has no type", file: path, remedy: remedy)
    }
    guard let word = type.value.scalar?.string, let fileType = FileType(name: word) else {
      throw InputError(
        .type, "line \(type.line): no such type", file: path, subject: type.value.scalar?.string ?? "type",
        remedy: "known are " + Recipe.fileTypes.map(\.name).joined(separator: " "))
    }
    self.init(fileType)
    for entry in file.entries where entry.key != "type" {
      guard entry.key == "tensors" else {
        throw InputError(
          .name, "line \(entry.line): a recipe has only type and tensors", file: path, subject: entry.key)
      }
      for tensor in try YAMLFile.entries(entry.value, path, expecting: "names and types", remedy: remedy) {
        do {
          try setType(of: tensor.key, to: tensor.value.scalar?.string ?? "")
        } catch {
          throw InputError(
            .type, "line \(tensor.line): \(error.problem)", file: path, subject: tensor.key, remedy: error.remedy)
        }
      }
    }
  }
}

extension ConversionPlan {
  /// The type of every tensor, as `Recipe(reading:)` takes it.
  public func recipeText(_ fileType: FileType) -> String {
    """
    # The type of every tensor, for quern convert --recipe.
    type: \(fileType.name)
    tensors:

    """ + entries.map { "  \($0.source.name): \($0.type.name)\n" }.joined()
  }

  /// How many tensors have each type that blocks come in, and their bytes: `Q4_K 31 (1.2 MB), Q6_K 7 (0.6 MB)`.
  public var typeSummary: String {
    var sums: [(type: DType, tensors: Int, bytes: Int)] = []
    for entry in entries where entry.type.isBlock {
      if let index = sums.firstIndex(where: { $0.type == entry.type }) {
        sums[index].tensors += 1
        sums[index].bytes += entry.byteCount
      } else {
        sums.append((entry.type, 1, entry.byteCount))
      }
    }
    return sums.sorted { $0.bytes > $1.bytes }
      .map { "\($0.type) \($0.tensors) (\(megabytes($0.bytes)))" }.joined(separator: ", ")
  }
}

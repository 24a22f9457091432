public import Tensors

/// A value given on the command line as TYPE:VALUE, in llama-quantize's four types.
public struct MetadataOverrideValue: Sendable, Hashable {
  public let value: MetadataValue

  /// `nil` when `type` is not int, float, bool or str, or `text` is no such value. A whole number becomes an unsigned one
  /// of 32 bits where it fits, as llama.cpp expects of counts, else a signed one of 64.
  public init?(type: String, text: String) {
    switch type {
    case "int":
      guard let number = Int64(text) else { return nil }
      value = UInt32(exactly: number).map { .uint32($0) } ?? .int64(number)
    case "float":
      guard let number = Float(text), number.isFinite else { return nil }
      value = .float32(number)
    case "bool":
      guard let flag = Bool(text) else { return nil }
      value = .bool(flag)
    case "str": value = .string(text)
    default: return nil
    }
  }
}

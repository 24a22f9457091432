import Bytes

/// One value of a model's metadata, of the types that GGUF knows (ggml docs/gguf.md, `gguf_metadata_value_type`).
///
/// Arrays are held by element type, so that a vocabulary of 128,000 tokens is one array and not 128,000 enums.
public enum MetadataValue: Hashable, Sendable {
  case uint8(UInt8), int8(Int8), uint16(UInt16), int16(Int16), uint32(UInt32), int32(Int32)
  case uint64(UInt64), int64(Int64), float32(Float), float64(Double), bool(Bool), string(String)
  case uint8s([UInt8]), int8s([Int8]), uint16s([UInt16]), int16s([Int16]), uint32s([UInt32]), int32s([Int32])
  case uint64s([UInt64]), int64s([Int64]), float32s([Float]), float64s([Double]), bools([Bool]), strings([String])

  /// Any whole number that fits, whatever its width.
  public var integer: Int? {
    switch self {
    case .uint8(let value): Int(value)
    case .int8(let value): Int(value)
    case .uint16(let value): Int(value)
    case .int16(let value): Int(value)
    case .uint32(let value): Int(value)
    case .int32(let value): Int(value)
    case .uint64(let value): Int(exactly: value)
    case .int64(let value): Int(exactly: value)
    default: nil
    }
  }

  public var double: Double? {
    switch self {
    case .float32(let value): Double(value)
    case .float64(let value): value
    default: nil
    }
  }

  public var string: String? { if case .string(let value) = self { value } else { nil } }
  public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  public var strings: [String]? { if case .strings(let value) = self { value } else { nil } }
}

/// Metadata in the order in which it was or will be written. Keys are unique.
public struct Metadata: Hashable, Sendable {
  public private(set) var keys: [String] = []
  private var values: [ExactString: MetadataValue] = [:]

  public init() {}

  /// Setting a new key appends it; setting a known one keeps its place; setting `nil` removes it.
  public subscript(key: String) -> MetadataValue? {
    get { values[ExactString(key)] }
    set {
      if newValue == nil {
        if values.removeValue(forKey: ExactString(key)) != nil {
          keys.removeAll { ExactString($0) == ExactString(key) }
        }
      } else if values.updateValue(newValue!, forKey: ExactString(key)) == nil {
        keys.append(key)
      }
    }
  }

  public var entries: [(key: String, value: MetadataValue)] { keys.map { ($0, values[ExactString($0)]!) } }

  public mutating func merge(_ other: Metadata) {
    for (key, value) in other.entries { self[key] = value }
  }
}

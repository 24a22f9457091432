import Bytes
import GGUF
import Tensors

/// Reads metadata as a loader does that demands an exact type of every key, and notes what it would refuse.
struct MetadataRules {
  let metadata: Metadata
  let rule: Finding.Rule
  private(set) var findings: [Finding] = []

  init(_ metadata: Metadata, rule: Finding.Rule) { (self.metadata, self.rule) = (metadata, rule) }

  mutating func add(_ key: String, _ problem: String, remedy: String = "convert the model again") {
    findings.append(Finding(rule, key, problem, remedy: remedy))
  }

  /// What `read` makes of the key's value; a finding when the key is required and missing, or of another type.
  private mutating func value<Value>(
    _ key: String, _ type: String, isRequired: Bool, _ read: (MetadataValue) -> Value?
  ) -> Value? {
    guard let value = metadata[key] else {
      if isRequired { add(key, "expected \(type), found nothing", remedy: "convert the model again") }
      return nil
    }
    guard let read = read(value) else {
      add(key, "expected \(type), found \(value.typeName)")
      return nil
    }
    return read
  }

  mutating func uint32(_ key: String, isRequired: Bool = false) -> Int? {
    value(key, "a uint32", isRequired: isRequired) { if case .uint32(let value) = $0 { Int(value) } else { nil } }
  }

  mutating func float32(_ key: String, isRequired: Bool = false) -> Float? {
    value(key, "a float32", isRequired: isRequired) { if case .float32(let value) = $0 { value } else { nil } }
  }

  mutating func string(_ key: String, isRequired: Bool = false) -> String? {
    value(key, "a string", isRequired: isRequired, \.string)
  }

  mutating func bool(_ key: String) -> Bool? { value(key, "a bool", isRequired: false, \.bool) }

  mutating func strings(_ key: String, isRequired: Bool = false) -> [String]? {
    value(key, "an array of strings", isRequired: isRequired, \.strings)
  }

  /// A number for all layers: a uint32, or an array with the same number for each of `layers`.
  mutating func layered(_ key: String, layers: Int?, isRequired: Bool = false) -> Int? {
    let values = value(key, "a uint32 or an array of them", isRequired: isRequired) { value -> [Int]? in
      switch value {
      case .uint32(let value): [Int(value)]
      case .uint32s(let values): values.map { Int($0) }
      case .int32s(let values): values.map { Int($0) }
      default: nil
      }
    }
    guard let values else { return nil }
    if case .uint32 = metadata[key] { return values[0] }
    guard values.count == layers else {
      add(key, "expected \(layers.map { "\($0)" } ?? "as many") values, one a layer, found \(values.count)")
      return nil
    }
    guard let first = values.first, values.allSatisfy({ $0 == first }) else {
      add(key, "expected the same number for every layer", remedy: "layers of a Llama are alike")
      return nil
    }
    return first
  }
}

extension MetadataValue {
  /// For messages: `a uint32`, `an array of int32`.
  var typeName: String {
    switch self {
    case .uint8: "a uint8"
    case .int8: "an int8"
    case .uint16: "a uint16"
    case .int16: "an int16"
    case .uint32: "a uint32"
    case .int32: "an int32"
    case .uint64: "a uint64"
    case .int64: "an int64"
    case .float32: "a float32"
    case .float64: "a float64"
    case .bool: "a bool"
    case .string: "a string"
    case .uint8s: "an array of uint8"
    case .int8s: "an array of int8"
    case .uint16s: "an array of uint16"
    case .int16s: "an array of int16"
    case .uint32s: "an array of uint32"
    case .int32s: "an array of int32"
    case .uint64s: "an array of uint64"
    case .int64s: "an array of int64"
    case .float32s: "an array of float32"
    case .float64s: "an array of float64"
    case .bools: "an array of bool"
    case .strings: "an array of strings"
    }
  }
}

import Bytes
import Tensors

extension Inspection {
  /// A metadata value on one line; arrays by their count and first elements.
  static func text(_ value: MetadataValue) -> String {
    switch value {
    case .string(let text): return printable(text, limit: 100)
    default:
      guard case .array(let elements) = json(value) else { return json(value).text() }
      return "[\(elements.count)] " + elements.prefix(4).map { printable($0.text(), limit: 40) }.joined(separator: ", ")
        + (elements.count > 4 ? ", …" : "")
    }
  }

  static func text(_ value: JSONValue) throws -> String { printable(try json(value).text(), limit: 100) }

  static func json(_ value: MetadataValue) -> JSONText {
    func ints(_ values: some Sequence<some BinaryInteger>) -> JSONText { .array(values.map { .int(Int($0)) }) }
    func doubles(_ values: some Sequence<some BinaryFloatingPoint>) -> JSONText {
      .array(values.map { .double(Double($0)) })
    }
    switch value {
    case .uint8(let value): return .int(Int(value))
    case .int8(let value): return .int(Int(value))
    case .uint16(let value): return .int(Int(value))
    case .int16(let value): return .int(Int(value))
    case .uint32(let value): return .int(Int(value))
    case .int32(let value): return .int(Int(value))
    case .uint64(let value): return Int(exactly: value).map { .int($0) } ?? .string("\(value)")
    case .int64(let value): return .int(Int(value))
    // The shortest decimal that is this Float, not its neighbour among the doubles.
    case .float32(let value): return .double(Double("\(value)") ?? Double(value))
    case .float64(let value): return .double(value)
    case .bool(let value): return .bool(value)
    case .string(let value): return .string(value)
    case .uint8s(let values): return ints(values)
    case .int8s(let values): return ints(values)
    case .uint16s(let values): return ints(values)
    case .int16s(let values): return ints(values)
    case .uint32s(let values): return ints(values)
    case .int32s(let values): return ints(values)
    case .uint64s(let values): return .array(values.map { Int(exactly: $0).map { .int($0) } ?? .string("\($0)") })
    case .int64s(let values): return ints(values)
    case .float32s(let values): return doubles(values)
    case .float64s(let values): return doubles(values)
    case .bools(let values): return .array(values.map { .bool($0) })
    case .strings(let values): return .array(values.map { .string($0) })
    }
  }

  /// Depth is bounded by the parser, so recursion is safe.
  static func json(_ value: JSONValue) throws -> JSONText {
    switch value.kind {
    case .null: .null
    case .bool: .bool(try value.bool())
    case .number: try (try? value.int()).map { .int($0) } ?? .double(value.double())
    case .string: .string(try value.string())
    case .array: .array(try value.elements().map { try json($0) })
    case .object: .object(try value.members().map { (try $0.key.string(), try json($0.value)) })
    }
  }
}

import Tensors

/// The bytes of a header, front to back.
struct HeaderEncoder {
  private(set) var bytes: [UInt8] = []

  mutating func start(tensors: Int, keys: Int) {
    bytes += GGUFFormat.magic
    integer(GGUFFormat.version)
    integer(UInt64(tensors))
    integer(UInt64(keys))
  }

  mutating func tensor(_ name: String, _ shape: Shape, _ type: UInt32, offset: Int) {
    string(name)
    integer(UInt32(shape.rank))
    for dimension in shape.ggmlOrder { integer(UInt64(dimension)) }
    integer(type)
    integer(UInt64(offset))
  }

  mutating func pad(to alignment: Int) {
    bytes += repeatElement(0, count: (alignment - bytes.count % alignment) % alignment)
  }

  mutating func pair(_ key: String, _ value: MetadataValue) {
    string(key)
    switch value {
    case .uint8(let value): scalar(.uint8, value)
    case .int8(let value): scalar(.int8, value)
    case .uint16(let value): scalar(.uint16, value)
    case .int16(let value): scalar(.int16, value)
    case .uint32(let value): scalar(.uint32, value)
    case .int32(let value): scalar(.int32, value)
    case .uint64(let value): scalar(.uint64, value)
    case .int64(let value): scalar(.int64, value)
    case .float32(let value): scalar(.float32, value.bitPattern)
    case .float64(let value): scalar(.float64, value.bitPattern)
    case .bool(let value): scalar(.bool, value ? 1 as UInt8 : 0)
    case .string(let value):
      type(.string)
      string(value)
    case .uint8s(let values): array(.uint8, values)
    case .int8s(let values): array(.int8, values)
    case .uint16s(let values): array(.uint16, values)
    case .int16s(let values): array(.int16, values)
    case .uint32s(let values): array(.uint32, values)
    case .int32s(let values): array(.int32, values)
    case .uint64s(let values): array(.uint64, values)
    case .int64s(let values): array(.int64, values)
    case .float32s(let values): array(.float32, values.map(\.bitPattern))
    case .float64s(let values): array(.float64, values.map(\.bitPattern))
    case .bools(let values): array(.bool, values.map { $0 ? 1 as UInt8 : 0 })
    case .strings(let values):
      start(.string, count: values.count)
      bytes.reserveCapacity(values.reduce(bytes.count) { $0 + 8 + $1.utf8.count })
      for value in values { string(value) }
    }
  }

  private mutating func type(_ type: ValueType) { integer(type.rawValue) }

  private mutating func start(_ element: ValueType, count: Int) {
    type(.array)
    type(element)
    integer(UInt64(count))
  }

  private mutating func scalar(_ type: ValueType, _ value: some FixedWidthInteger) {
    self.type(type)
    integer(value)
  }

  private mutating func array(_ type: ValueType, _ values: [some FixedWidthInteger]) {
    start(type, count: values.count)
    for value in values { integer(value) }
  }

  private mutating func string(_ text: String) {
    integer(UInt64(text.utf8.count))
    bytes.append(contentsOf: text.utf8)
  }

  private mutating func integer<T: FixedWidthInteger>(_ value: T) {
    for index in 0..<MemoryLayout<T>.size { bytes.append(UInt8(truncatingIfNeeded: value >> T(8 * index))) }
  }
}

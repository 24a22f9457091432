import Bytes
import Tensors

extension GGUFFile {
  /// The keys and values.
  /// - Throws: `NAME`, `DUP`, `TYPE`, `UTF8`, `LIMIT`, `TRUNC`.
  static func metadata(_ cursor: inout HeaderCursor, count: UInt64) throws -> Metadata {
    var metadata = Metadata()
    for index in 0..<count {
      let start = UInt64(cursor.offset)
      let key = try cursor.key(index)
      guard metadata[key] == nil else {
        throw InputError(.duplicate, "the key appears twice", subject: key, offset: start)
      }
      do {
        metadata[key] = try cursor.value()
      } catch let error as InputError {
        throw error.adding(subject: key)
      }
    }
    return metadata
  }
}

extension HeaderCursor {
  fileprivate mutating func key(_ index: UInt64) throws -> String {
    let start = offset
    let length = try uint64("the length of key \(index)")
    try check(length, "key \(index)")
    guard length <= GGUFFormat.maximumKeyBytes else {
      throw fail(
        .name, "key \(index) has \(length) bytes, where at most \(GGUFFormat.maximumKeyBytes) are allowed", at: start)
    }
    // Not valid UTF-8 is not ASCII either, and a key is refused for that.
    let key = String(decoding: try bytes(Int(length), "key \(index)"), as: UTF8.self)
    do {
      try GGUFRules.check(key: key)
    } catch { throw error.adding(offset: UInt64(start)) }
    return key
  }

  fileprivate mutating func value() throws -> MetadataValue {
    switch try type("the value type") {
    case .uint8: .uint8(try integer("a uint8"))
    case .int8: .int8(try integer("an int8"))
    case .uint16: .uint16(try integer("a uint16"))
    case .int16: .int16(try integer("an int16"))
    case .uint32: .uint32(try integer("a uint32"))
    case .int32: .int32(try integer("an int32"))
    case .uint64: .uint64(try integer("a uint64"))
    case .int64: .int64(try integer("an int64"))
    case .float32: .float32(Float(bitPattern: try integer("a float32")))
    case .float64: .float64(Double(bitPattern: try integer("a float64")))
    case .bool: .bool(try bools(1)[0])
    case .string: .string(try string("a string"))
    case .array: try array()
    }
  }

  private mutating func array() throws -> MetadataValue {
    let start = offset
    let type = try type("the element type")
    guard type != .array else {
      throw fail(.limit, "arrays of arrays are not supported, by ggml as little as here", at: start)
    }
    let count = try uint64("the element count")
    guard count <= GGUFFormat.maximumArrayCount else {
      throw fail(.limit, "\(count) elements, where at most \(GGUFFormat.maximumArrayCount) are allowed", at: start)
    }
    let what = "an array of \(count) elements"
    return switch type {
    case .uint8: .uint8s(try numbers(count, what))
    case .int8: .int8s(try numbers(count, what))
    case .uint16: .uint16s(try numbers(count, what))
    case .int16: .int16s(try numbers(count, what))
    case .uint32: .uint32s(try numbers(count, what))
    case .int32: .int32s(try numbers(count, what))
    case .uint64: .uint64s(try numbers(count, what))
    case .int64: .int64s(try numbers(count, what))
    case .float32: .float32s(try numbers(count, what))
    case .float64: .float64s(try numbers(count, what))
    case .bool: .bools(try bools(count))
    case .string: .strings(try strings(count, "element"))
    case .array: preconditionFailure("refused above")
    }
  }

  private mutating func bools(_ count: UInt64) throws -> [Bool] {
    let start = offset
    let bytes: [UInt8] = try numbers(count, "a bool")
    if let wrong = bytes.first(where: { $0 > 1 }) {
      throw fail(.type, "a bool is 0 or 1, found \(wrong)", at: start)
    }
    return bytes.map { $0 == 1 }
  }

  private mutating func type(_ what: String) throws -> ValueType {
    let start = offset
    let raw = try uint32(what)
    guard let type = ValueType(rawValue: raw) else {
      throw fail(.type, "\(what) is \(raw), where 0 to \(ValueType.float64.rawValue) are known", at: start)
    }
    return type
  }
}

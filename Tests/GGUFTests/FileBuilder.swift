import Bytes
import Tensors

/// Builds the bytes of a GGUF file by hand, right or wrong, without the writer that is being tested.
struct FileBuilder {
  var bytes: [UInt8] = []

  /// A header that announces `tensors` and `keys`.
  init(magic: String = "GGUF", version: UInt32 = 3, tensors: UInt64 = 0, keys: UInt64 = 0) {
    bytes += Array(magic.utf8)
    put(version)
    put(tensors)
    put(keys)
  }

  /// A file of one key.
  init(key: String, _ build: (inout FileBuilder) -> Void) {
    self.init(keys: 1)
    string(key)
    build(&self)
  }

  mutating func put<T: FixedWidthInteger>(_ value: T) {
    for index in 0..<MemoryLayout<T>.size { bytes.append(UInt8(truncatingIfNeeded: value >> T(8 * index))) }
  }

  mutating func string(_ text: [UInt8]) {
    put(UInt64(text.count))
    bytes += text
  }

  mutating func string(_ text: String) { string(Array(text.utf8)) }

  /// A tensor's entry, dimensions in ggml's order.
  mutating func tensor(_ name: String, _ dimensions: [UInt64], type: UInt32 = 0, offset: UInt64 = 0) {
    string(name)
    put(UInt32(dimensions.count))
    for dimension in dimensions { put(dimension) }
    put(type)
    put(offset)
  }

  mutating func align(_ alignment: Int = 32) { while bytes.count % alignment != 0 { bytes.append(0) } }

  mutating func zeros(_ count: Int) { bytes += repeatElement(0, count: count) }

  /// A file of one tensor, with `data` bytes behind the header.
  static func tensor(
    _ dimensions: [UInt64], type: UInt32 = 0, offset: UInt64 = 0, name: String = "w", data: Int
  ) -> FileBuilder {
    var file = FileBuilder(tensors: 1)
    file.tensor(name, dimensions, type: type, offset: offset)
    file.align()
    file.zeros(data)
    return file
  }
}

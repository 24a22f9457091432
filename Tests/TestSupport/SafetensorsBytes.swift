/// Safetensors files put together byte by byte, well-formed or not.
package enum SafetensorsBytes {
  package struct Entry {
    package var name: String
    package var dtype: String
    package var shape: [Int]
    package var bytes: [UInt8]

    package init(_ name: String, _ dtype: String, _ shape: [Int], _ bytes: [UInt8]) {
      (self.name, self.dtype, self.shape, self.bytes) = (name, dtype, shape, bytes)
    }
  }

  /// `header` with its length before it and `data` after it.
  package static func file(header: [UInt8], data: [UInt8] = []) -> [UInt8] {
    length(UInt64(header.count)) + header + data
  }

  package static func file(header: String, data: [UInt8] = []) -> [UInt8] {
    file(header: Array(header.utf8), data: data)
  }

  /// A well-formed file; names must need no escapes.
  package static func file(_ entries: [Entry], metadata: String? = nil) -> [UInt8] {
    var members = metadata.map { ["\"__metadata__\":\($0)"] } ?? []
    var data: [UInt8] = []
    for entry in entries {
      let begin = data.count
      data += entry.bytes
      members.append(
        "\"\(entry.name)\":{\"dtype\":\"\(entry.dtype)\",\"shape\":\(entry.shape),\"data_offsets\":[\(begin),\(data.count)]}"
      )
    }
    return file(header: "{\(members.joined(separator: ","))}", data: data)
  }

  package static func length(_ value: UInt64) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }
}

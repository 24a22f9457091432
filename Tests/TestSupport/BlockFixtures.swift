import Bytes

/// The files of `fixtures/blocks`.
package enum BlockFixtures {
  /// Rows of `x.bin` and elements of each.
  package static let rows = 12
  package static let columns = 512

  package static func bytes(_ name: String) throws -> [UInt8] {
    try RandomAccessFile(Fixtures.path("blocks/\(name).bin")).readAll(limit: 1 << 20)
  }

  package static func floats(_ name: String) throws -> [Float] {
    let bytes = try bytes(name)
    return stride(from: 0, to: bytes.count, by: 4).map { at in
      Float(bitPattern: (0..<4).reduce(0) { $0 | UInt32(bytes[at + $1]) << UInt32(8 * $1) })
    }
  }
}

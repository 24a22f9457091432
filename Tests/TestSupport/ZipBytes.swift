/// Zip archives put together byte by byte, well-formed or not.
package struct ZipBytes {
  package struct Entry {
    package var name: String
    package var data: [UInt8]
    /// What the entry decodes to, when `data` are deflated.
    package var decoded: [UInt8]?
    package var flags: UInt16 = 0x0808
    package var hasDescriptor = true
    package var localExtra: [UInt8] = []
    package var extra: [UInt8] = []
    /// Lies of the local header and of the directory.
    package var localName: String?
    package var method: UInt16?
    package var crc: UInt32?
    package var size: UInt32?
    package var compressedSize: UInt32?
    package var offset: UInt32?

    package init(_ name: String, _ data: [UInt8], _ change: (inout Entry) -> Void = { _ in }) {
      (self.name, self.data) = (name, data)
      change(&self)
    }
  }

  package var entries: [Entry]
  package var prefix: [UInt8] = []
  package var gap: [UInt8] = []
  package var suffix: [UInt8] = []
  package var comment: [UInt8] = []
  package var disk: UInt16 = 0
  package var hasEnd64 = false
  /// Lies of the end record.
  package var count: UInt16?
  package var directoryOffset: UInt32?
  package var directorySize: UInt32?

  package init(_ entries: [Entry], _ change: (inout ZipBytes) -> Void = { _ in }) {
    self.entries = entries
    change(&self)
  }

  package var bytes: [UInt8] {
    var out = prefix
    var directory: [UInt8] = []
    for (place, entry) in entries.enumerated() {
      let offset = UInt32(out.count)
      let method = entry.method ?? (entry.decoded == nil ? 0 : 8)
      let crc = entry.crc ?? ZipBytes.crc(entry.decoded ?? entry.data)
      let compressed = UInt32(entry.data.count)
      let size = UInt32((entry.decoded ?? entry.data).count)
      let flags = entry.hasDescriptor ? entry.flags : entry.flags & ~8
      let localName = Array((entry.localName ?? entry.name).utf8)
      let name = Array(entry.name.utf8)
      out += le(0x0403_4B50 as UInt32) + le(0 as UInt16) + le(flags) + le(method) + le(0 as UInt32)
      out += entry.hasDescriptor ? [UInt8](repeating: 0, count: 12) : le(crc) + le(compressed) + le(size)
      out += le(UInt16(localName.count)) + le(UInt16(entry.localExtra.count)) + localName + entry.localExtra
      out += entry.data
      if entry.hasDescriptor { out += le(0x0807_4B50 as UInt32) + le(crc) + le(compressed) + le(size) }
      if place == 0 { out += gap }
      directory += le(0x0201_4B50 as UInt32) + le(0 as UInt32) + le(flags) + le(method) + le(0 as UInt32) + le(crc)
      directory += le(entry.compressedSize ?? compressed) + le(entry.size ?? size)
      directory += le(UInt16(name.count)) + le(UInt16(entry.extra.count)) + le(0 as UInt16) + le(0 as UInt16)
      directory += [UInt8](repeating: 0, count: 6) + le(entry.offset ?? offset) + name + entry.extra
    }
    let start = out.count
    out += directory
    if hasEnd64 {
      let position = out.count
      out += le(0x0606_4B50 as UInt32) + le(44 as UInt64) + le(0 as UInt32) + le(0 as UInt64)
      out += le(UInt64(entries.count)) + le(UInt64(entries.count)) + le(UInt64(directory.count)) + le(UInt64(start))
      out += le(0x0706_4B50 as UInt32) + le(0 as UInt32) + le(UInt64(position)) + le(1 as UInt32)
    }
    out += le(0x0605_4B50 as UInt32) + le(disk) + le(disk) + le(count ?? UInt16(entries.count))
    out += le(count ?? UInt16(entries.count)) + le(directorySize ?? UInt32(directory.count))
    out += le(directoryOffset ?? UInt32(start)) + le(UInt16(comment.count)) + comment
    return out + suffix
  }

  /// A deflate stream of one stored block.
  package static func deflated(_ bytes: [UInt8]) -> [UInt8] {
    [1] + le(UInt16(bytes.count)) + le(~UInt16(bytes.count)) + bytes
  }

  /// What eight steps of the definition make of each byte.
  private static let remainders: [UInt32] = (0..<256).map { byte in
    (0..<8).reduce(UInt32(byte)) { crc, _ in crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
  }

  package static func crc(_ bytes: [UInt8]) -> UInt32 {
    var crc = ~(0 as UInt32)
    for byte in bytes { crc = crc >> 8 ^ remainders[Int(UInt8(truncatingIfNeeded: crc) ^ byte)] }
    return ~crc
  }
}

/// Little-endian bytes of `value`.
package func le<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
  (0..<MemoryLayout<T>.size).map { UInt8(truncatingIfNeeded: value >> T(8 * $0)) }
}

/// GPT-2's alphabet: every byte written as one printable character, so that a vocabulary of bytes can stand in a text
/// file (Radford et al. 2019, `bytes_to_unicode`).
///
/// Printable Latin-1 stands for itself; the 68 other bytes, in order, are U+0100 to U+0143 (a space is "Ġ").
enum ByteAlphabet {
  /// The character of each byte.
  static let scalars: [UInt16] = {
    var next: UInt16 = 0x100
    return (0...255 as ClosedRange<UInt16>).map { byte in
      switch byte {
      case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: return byte
      default:
        defer { next += 1 }
        return next
      }
    }
  }()

  /// The byte of each character below U+0144, or -1.
  static let bytes: [Int16] = {
    var bytes = [Int16](repeating: -1, count: 0x144)
    for (byte, scalar) in scalars.enumerated() { bytes[Int(scalar)] = Int16(byte) }
    return bytes
  }()

  /// Replaces `arena[start...]`, which is valid UTF-8, by the bytes it stands for.
  /// - Returns: `false`, leaving the text as it was, when a character is outside the alphabet.
  static func decode(_ arena: inout [UInt8], from start: Int) -> Bool {
    let table = bytes
    var read = start
    var count = 0
    while read < arena.count {  // a first pass proves the text, so that nothing is overwritten in vain
      let lead = arena[read]
      if lead < 0x80 {
        guard table[Int(lead)] >= 0 else { return false }
        read += 1
      } else {
        guard lead <= 0xC5, table.indices.contains(two(arena, read)), table[two(arena, read)] >= 0 else { return false }
        read += 2
      }
      count += 1
    }
    read = start
    for write in start..<start + count {
      if arena[read] < 0x80 {
        arena[write] = arena[read]
        read += 1
      } else {
        arena[write] = UInt8(table[two(arena, read)])
        read += 2
      }
    }
    arena.removeLast(arena.count - start - count)
    return true
  }

  @inline(__always)
  private static func two(_ arena: [UInt8], _ index: Int) -> Int {
    Int(arena[index] & 0x1F) << 6 | Int(arena[index + 1] & 0x3F)
  }

  /// The bytes as text of the alphabet.
  static func text(of raw: ArraySlice<UInt8>) -> String {
    var out: [UInt8] = []
    out.reserveCapacity(raw.count + raw.count / 2)
    for byte in raw {
      let scalar = scalars[Int(byte)]
      if scalar < 0x80 {
        out.append(UInt8(scalar))
      } else {
        out.append(UInt8(0xC0 | scalar >> 6))
        out.append(UInt8(0x80 | scalar & 0x3F))
      }
    }
    return String(decoding: out, as: UTF8.self)
  }
}
